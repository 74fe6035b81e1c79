//! What one connection uses of the shared resources.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use seawall_model::SiteId;
use seawall_state::Priority;

use crate::connection::Connection;
use crate::fairness::egress::WRITE_BYTES_MAX;
use crate::fairness::scheduler::Ticket;
use crate::fairness::{FairSharing, SiteMetrics, SiteResources};

/// In place of a site: none is known yet.
const NONE: u32 = u32::MAX;
/// In place of a site: the connection has ended. Both exceed the highest number of a site.
const GONE: u32 = u32::MAX - 1;

/// Accounting of one connection.
#[derive(Debug)]
pub(crate) struct SiteAccounting {
    shares: OnceLock<Arc<FairSharing>>,
    /// The site that the connection is charged to.
    home: AtomicU32,
    /// The site of its last request, whose bandwidth it uses. It differs where a trusted proxy
    /// brings many clients.
    current: AtomicU32,
    is_known: AtomicBool,
    is_astray: AtomicBool,
    pub(super) egress: Arc<Ticket>,
    /// Nanoseconds of CPU time that are not charged to a site yet.
    owed_ns: AtomicU64,
}

impl SiteAccounting {
    pub(crate) fn new() -> Self {
        Self {
            shares: OnceLock::new(),
            home: AtomicU32::new(NONE),
            current: AtomicU32::new(NONE),
            is_known: AtomicBool::new(false),
            is_astray: AtomicBool::new(false),
            egress: Arc::default(),
            owed_ns: AtomicU64::new(0),
        }
    }

    /// Sets the resources that it takes part in; before that it is charged nothing.
    pub(super) fn join(&self, shares: &Arc<FairSharing>) {
        let _first = self.shares.set(Arc::clone(shares));
    }

    fn part_of(&self, site: &AtomicU32) -> Option<&Arc<SiteResources>> {
        self.shares.get()?.sites.get(site.load(Relaxed) as usize)
    }

    /// Returns the resources of the site that it is charged to.
    pub(super) fn billed_site(&self) -> Option<&Arc<SiteResources>> {
        self.part_of(&self.home)
    }

    /// Binds it to a site, once; returns whether this call did.
    pub(super) fn bind(&self, site: SiteId) -> bool {
        self.home.compare_exchange(NONE, site.0, Relaxed, Relaxed).is_ok()
    }

    /// Returns the resources of the site that it was charged to and ends the charge.
    pub(super) fn leave_home(&self) -> Option<&Arc<SiteResources>> {
        let site = self.home.swap(GONE, Relaxed);
        self.shares.get()?.sites.get(site as usize)
    }

    /// Returns whether the connection has ended.
    pub(crate) fn is_given_up(&self) -> bool {
        self.home.load(Relaxed) == GONE
    }

    /// Returns whether it is charged to a site, or was.
    pub(crate) fn is_settled(&self) -> bool {
        self.home.load(Relaxed) != NONE
    }

    /// Returns whether it is charged to another site than this.
    pub(crate) fn is_bound_elsewhere(&self, site: SiteId) -> bool {
        let home = self.home.load(Relaxed);
        home != NONE && home != site.0
    }

    /// Sets the site whose bandwidth it uses from here on; returns whether the site changed.
    pub(crate) fn set_active_site(&self, site: SiteId) -> bool {
        self.current.swap(site.0, Relaxed) != site.0
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Relaxed)
    }

    /// Records that a site is congested.
    pub(super) fn note_trouble(&self, site: usize) {
        let part = self.shares.get().and_then(|shares| Some((shares, shares.sites.get(site)?)));
        if let Some((shares, part)) = part {
            part.note_trouble((shares.now)(), &shares.limits);
        }
    }

    pub(super) fn note_known(&self, is_known: bool) {
        self.is_known.store(is_known, Relaxed);
    }

    /// Returns the number of the site whose bandwidth it uses.
    pub(crate) fn site(&self) -> Option<usize> {
        Some(self.current.load(Relaxed)).filter(|site| *site != NONE).map(|site| site as usize)
    }

    /// Records an unroutable or unreadable request. A connection without a site is scheduled with
    /// all others of this kind.
    pub(crate) fn note_astray(&self) {
        self.is_astray.store(true, Relaxed);
    }

    pub(super) fn is_astray(&self) -> bool {
        self.is_astray.load(Relaxed)
    }

    /// Returns its priority in a queue.
    pub(super) fn class(&self) -> Priority {
        Priority::of(self.is_known())
    }

    /// Counts something for the site whose bandwidth it uses.
    pub(super) fn count(&self, count: impl FnOnce(&SiteMetrics)) {
        if let Some(site) = self.site() {
            self.count_for(site, count);
        }
    }

    /// Counts something for a site by its number.
    pub(super) fn count_for(&self, site: usize, count: impl FnOnce(&SiteMetrics)) {
        if let Some(part) = self.shares.get().and_then(|shares| shares.sites.get(site)) {
            count(&part.counts);
        }
    }

    /// Returns how much of `bytes` may be sent now; pending until some may.
    pub(crate) fn poll_send<'b>(
        &self,
        conn: &Connection,
        bytes: &'b [u8],
        cx: &Context<'_>,
    ) -> Poll<&'b [u8]> {
        let Some(egress) = self.shares.get().and_then(|shares| shares.egress.as_ref()) else {
            return Poll::Ready(bytes);
        };
        ready!(egress.poll(conn, cx));
        Poll::Ready(bytes.get(..WRITE_BYTES_MAX).unwrap_or(bytes))
    }

    /// Returns the idle timeout of the connection.
    pub(crate) fn idle_ms(&self, conn: &Connection, (usual_ms, tight_ms): (u64, u64)) -> u64 {
        let times = (usual_ms, tight_ms);
        let of = |shares: &Arc<FairSharing>| shares.overload.idle_ms(shares.waits(conn), times);
        self.shares.get().map_or(usual_ms, of)
    }

    /// Records sent bytes.
    pub(crate) fn note_sent(&self, conn: &Connection, bytes: usize) {
        self.count(|counts| {
            counts.egress_bytes_total.fetch_add(bytes as u64, Relaxed);
        });
        if let Some(egress) = self.shares.get().and_then(|shares| shares.egress.as_ref()) {
            egress.spend(conn, bytes);
        }
    }

    /// Records CPU time that cannot be charged to a site yet.
    pub(super) fn defer_cpu(&self, ns: u64) {
        self.owed_ns.fetch_add(ns, Relaxed);
    }

    /// Takes the uncharged CPU time, once there is a site.
    pub(super) fn take_owed(&self) -> u64 {
        if self.owed_ns.load(Relaxed) == 0 { 0 } else { self.owed_ns.swap(0, Relaxed) }
    }
}
