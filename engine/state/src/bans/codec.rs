//! Bans in a snapshot.
//!
//! They are read in pages, so that a request that adds a ban never waits for all of them. Origins
//! and members are written once, at their first occurrence.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use seawall_model::{Generation, Prefix};

use super::{AddBanResult, BanOrigin, Bans, scope_of};
use crate::bans::target::BanTarget;
use crate::counters::table::EvictionClass;
use crate::snapshot::{REMEMBERED_MS_MAX, SnapshotDecoder, SnapshotEncoder};

/// Kinds of targets.
const NET_V4: u8 = 0;
const NET_V6: u8 = 1;
const ASN: u8 = 2;

impl Bans {
    /// Returns the number of changes so far.
    pub(crate) fn edits(&self) -> u64 {
        self.edits.load(Ordering::Relaxed)
    }

    pub(crate) fn store(&self, out: &mut SnapshotEncoder) {
        let (mut origins, mut members) = (HashMap::new(), HashMap::new());
        for page in self.pages(out.at) {
            for (_, ban) in page {
                if !out.has_room(EvictionClass::Held) {
                    continue;
                }
                store_unit(&ban.unit, out);
                out.near(ban.until.0, out.at.0);
                let BanOrigin { rule, generation } = &*ban.why;
                if is_first(&mut origins, (rule.clone(), generation.0), out) {
                    out.text(rule);
                    out.number(generation.0);
                }
                let member = ban.member.unwrap_or_default();
                if is_first(&mut members, member.clone(), out) {
                    out.text(&member);
                }
            }
        }
    }

    /// Restores the output of [`store`](Self::store). Returns the number of bans.
    pub(crate) fn load(&self, mut from: SnapshotDecoder<'_>) -> Option<usize> {
        let (mut origins, mut members) = (Vec::new(), Vec::<Box<str>>::new());
        let mut taken: usize = 0;
        while !from.is_at_end() {
            let unit = load_unit(&mut from)?;
            let left_ms = from.near(from.was.0)?.saturating_sub(from.was.0).min(REMEMBERED_MS_MAX);
            let until = from.is.plus_ms(left_ms);
            let why = origin(&mut origins, &mut from)?;
            let member = member(&mut members, &mut from)?;
            let scope = scope_of(Some(&*member).filter(|name| !name.is_empty()));
            if until > from.now
                && let AddBanResult::Until(_) = self.add_until(unit, until, why, scope, from.now)
            {
                taken = taken.saturating_add(1);
            }
        }
        Some(taken)
    }
}

/// Writes the number of a repeated value. Returns true the first time, with number 0; the value
/// itself must follow.
fn is_first<T: Eq + std::hash::Hash>(
    known: &mut HashMap<T, u64>,
    thing: T,
    out: &mut SnapshotEncoder,
) -> bool {
    let next = (known.len() as u64).saturating_add(1);
    let number = known.get(&thing).copied();
    out.number(number.unwrap_or(0));
    if number.is_none() {
        known.insert(thing, next);
    }
    number.is_none()
}

fn origin(
    known: &mut Vec<Arc<BanOrigin>>,
    from: &mut SnapshotDecoder<'_>,
) -> Option<Arc<BanOrigin>> {
    if let Some(place) = from.number()?.checked_sub(1) {
        return known.get(usize::try_from(place).ok()?).cloned();
    }
    let rule = from.text()?.into();
    let origin = Arc::new(BanOrigin { rule, generation: Generation(from.number()?) });
    known.push(Arc::clone(&origin));
    Some(origin)
}

/// Longest name of a member: the limit of a host name.
const MEMBER_BYTES_MAX: usize = 253;

fn member(known: &mut Vec<Box<str>>, from: &mut SnapshotDecoder<'_>) -> Option<Box<str>> {
    if let Some(place) = from.number()?.checked_sub(1) {
        return known.get(usize::try_from(place).ok()?).cloned();
    }
    let name: Box<str> = from.text().filter(|name| name.len() <= MEMBER_BYTES_MAX)?.into();
    known.push(name.clone());
    Some(name)
}

fn store_unit(unit: &BanTarget, out: &mut SnapshotEncoder) {
    match unit {
        BanTarget::Asn(asn) => {
            out.byte(ASN);
            out.number(u64::from(*asn));
        }
        BanTarget::Net(net) => match net.addr() {
            IpAddr::V4(ip) => {
                out.raw(&[NET_V4, net.len()]);
                out.raw(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.raw(&[NET_V6, net.len()]);
                out.raw(&ip.octets());
            }
        },
    }
}

fn load_unit(from: &mut SnapshotDecoder<'_>) -> Option<BanTarget> {
    let (ip, len, bits) = match from.byte()? {
        ASN => return u32::try_from(from.number()?).ok().map(BanTarget::Asn),
        NET_V4 => {
            let len = from.byte()?;
            (IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(from.raw(4)?).ok()?)), len, 32)
        }
        NET_V6 => {
            let len = from.byte()?;
            (IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(from.raw(16)?).ok()?)), len, 128)
        }
        _ => return None,
    };
    (len <= bits).then(|| BanTarget::Net(Prefix::new(ip, len)))
}
