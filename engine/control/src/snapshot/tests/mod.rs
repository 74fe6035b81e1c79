//! A failing disk, missing keys, changed clocks, a killed process.

mod disk_faults;
mod killed;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use seawall_model::{Client, ClientPrefixes, Generation, Prefix};
use seawall_state::{
    BanOrigin, BanScope, BanTarget, CounterShape, Penalty, Rate, RateLimitOutcome,
};
use tempfile::TempDir;

use super::*;
use crate::storage::damaged::DAMAGED_FILES_MAX;

const DAY_MS: u64 = 86_400_000;
const NOW: Tick = Tick::TEST_START;
const BOOT: SnapshotTimestamp =
    SnapshotTimestamp { boot: [1; 16], boot_ms: 1_000_000, wall_ms: NOW.0 };
const BANNED: &str = "203.0.113.77";

fn specs() -> [CounterSpec; 1] {
    let (identity, name) = ("limit login per client".into(), "floor.login".into());
    [CounterSpec { identity, name, shape: CounterShape::Limit, window_ms: 60_000, keys: 100 }]
}

/// Returns a store in a folder, with a clock that stands at `wall`.
fn keeper(folder: &Path, wall: Tick, stamp: fn() -> SnapshotTimestamp) -> SnapshotStore {
    let secret = KeySource::find(folder, None);
    let now = NowClock(Arc::new(move || wall));
    SnapshotStore {
        folder: folder.to_owned(),
        secret,
        medium: Arc::new(RealFileSystem),
        stamp,
        now,
        limits: StateLimits::default(),
        inherits: false,
    }
}

fn at_start(folder: &Path) -> SnapshotStore {
    keeper(folder, NOW, || BOOT)
}

fn empty() -> State {
    State::new(Seed([5; 16]), &specs())
}

fn ban(state: &State, n: u32) {
    let unit = BanTarget::Asn(n);
    let why = BanOrigin { rule: "floor.flood".into(), generation: Generation(1) };
    state.bans().add(unit, 3_600_000, why, BanScope::Host, NOW);
}

/// Returns a state with one address banned for an hour, and one held.
fn busy() -> State {
    let state = empty();
    let unit = BanTarget::Net(Prefix::parse(BANNED).unwrap().0);
    let why = BanOrigin { rule: "floor.flood".into(), generation: Generation(3) };
    state.bans().add(unit, 3_600_000, why, BanScope::Host, NOW);
    (0..2).for_each(|_| _ = ask(&state, NOW));
    state
}

fn ask(state: &State, now: Tick) -> RateLimitOutcome {
    let (rate, hold) = (
        Rate { n: 1, window_ms: 60_000, burst: 0 },
        Penalty { for_ms: 600_000, doubling_to_ms: None },
    );
    let mut key = state.key();
    key.part(b"192.0.2.1");
    state.limit(seawall_model::CounterId(0)).unwrap().admit(key.finish(), &rate, Some(&hold), now)
}

fn banned_for_ms(state: &State, now: Tick) -> Option<u64> {
    let client = Client::of(BANNED.parse().unwrap(), &ClientPrefixes::default());
    Some(state.bans().covers(&client, None, BanScope::Host, now)?.until.since_ms(now))
}

fn restore(keeper: &SnapshotStore) -> State {
    keeper.restore(Seed([6; 16]), &specs())
}

fn names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_snapshot_is_read_again_and_is_ours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = at_start(&folder.path().join("state"));
    assert_eq!(restore(&keeper).bans().len(), 0, "nothing there is nothing wrong");
    let (bytes, left_out) = keeper.write(&busy()).unwrap();
    let written = fs::metadata(keeper.place()).unwrap();
    assert_eq!((written.len(), left_out), (bytes as u64, 0));
    for file in ["snapshot", "snapshot.key"] {
        let mode = fs::metadata(folder.path().join("state").join(file)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let state = restore(&keeper);
    assert_eq!(banned_for_ms(&state, NOW), Some(3_600_000));
    let RateLimitOutcome::Exceeded { hold_began, .. } = ask(&state, NOW.plus_ms(599_999)) else {
        panic!()
    };
    assert_eq!(hold_began, Some(NOW));
}

#[test]
fn no_address_stands_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = at_start(folder.path());
    let address: std::net::Ipv4Addr = BANNED.parse().unwrap();
    for _ in 0..20 {
        keeper.write(&busy()).unwrap();
        let bytes = fs::read(keeper.place()).unwrap();
        let mut reversed = address.octets();
        reversed.reverse();
        for form in [&address.octets()[..], &reversed, BANNED.as_bytes(), b"floor.login"] {
            assert!(!bytes.windows(form.len()).any(|part| part == form), "{form:?}");
        }
    }
    let plain = busy().snapshot(NOW).bytes;
    assert!(plain.windows(4).any(|part| part == address.octets()), "the search can find it");
}

#[test]
fn every_snapshot_has_a_nonce_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = at_start(folder.path());
    let state = busy();
    let written = || {
        keeper.write(&state).unwrap();
        fs::read(keeper.place()).unwrap()
    };
    assert_ne!(written()[..34], written()[..34]);
}

#[test]
fn a_wall_clock_that_is_put_frees_and_lengthens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    at_start(folder.path()).write(&busy()).unwrap();
    // Five seconds of the boot clock, whatever the wall clock reads.
    let later: [(u64, fn() -> SnapshotTimestamp); 3] = [
        (NOW.0 - DAY_MS, || SnapshotTimestamp {
            boot_ms: 1_005_000,
            wall_ms: NOW.0 - DAY_MS,
            ..BOOT
        }),
        (NOW.0 + 5_000, || SnapshotTimestamp {
            boot_ms: 1_005_000,
            wall_ms: NOW.0 + 5_000,
            ..BOOT
        }),
        (NOW.0 + DAY_MS, || SnapshotTimestamp {
            boot_ms: 1_005_000,
            wall_ms: NOW.0 + DAY_MS,
            ..BOOT
        }),
    ];
    for (wall, stamp) in later {
        let state = restore(&keeper(folder.path(), Tick(wall), stamp));
        assert_eq!(banned_for_ms(&state, Tick(wall)), Some(3_595_000));
        assert!(ask(&state, Tick(wall + 594_999)) != RateLimitOutcome::Allowed);
        assert_eq!(ask(&state, Tick(wall + 595_000)), RateLimitOutcome::Allowed);
    }
    // Across a reboot only the wall clock shows the time.
    let rebooted = || SnapshotTimestamp { boot: [2; 16], boot_ms: 3_000, wall_ms: NOW.0 + 60_000 };
    let state = restore(&keeper(folder.path(), NOW.plus_ms(60_000), rebooted));
    assert_eq!(banned_for_ms(&state, NOW.plus_ms(60_000)), Some(3_540_000));
    let back = || SnapshotTimestamp { boot: [2; 16], boot_ms: 3_000, wall_ms: NOW.0 - DAY_MS };
    let state = restore(&keeper(folder.path(), Tick(NOW.0 - DAY_MS), back));
    assert_eq!(banned_for_ms(&state, Tick(NOW.0 - DAY_MS)), Some(3_600_000));
}

#[test]
fn a_damaged_snapshot_is_set_aside_and_the_state_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = at_start(folder.path());
    for _ in 0..DAMAGED_FILES_MAX + 1 {
        keeper.write(&busy()).unwrap();
        let mut bytes = fs::read(keeper.place()).unwrap();
        bytes[100] ^= 1;
        fs::write(keeper.place(), bytes).unwrap();
        assert_eq!(restore(&keeper).bans().len(), 0);
        assert!(!keeper.place().exists());
    }
    let damaged = |n| format!("snapshot.damaged-{n}");
    assert_eq!(names(&folder), [damaged(1), damaged(2), damaged(3), "snapshot.key".into()]);
}

#[test]
fn without_its_key_a_snapshot_is_set_aside_and_a_new_key_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = at_start(folder.path());
    let key = folder.path().join("snapshot.key");
    let spoil: [&dyn Fn(); 3] =
        [&|| fs::remove_file(&key).unwrap(), &|| fs::write(&key, [1; 31]).unwrap(), &|| {
            fs::write(&key, [1; 32]).unwrap()
        }];
    for spoil in spoil {
        keeper.write(&busy()).unwrap();
        assert_eq!(restore(&keeper).bans().len(), 1);
        spoil();
        assert_eq!(restore(&keeper).bans().len(), 0);
        assert!(!keeper.place().exists() && folder.path().join("snapshot.damaged-1").exists());
    }
    assert_eq!(fs::read(&key).unwrap().len(), 32);
    fs::write(&key, [1; 33]).unwrap();
    keeper.write(&busy()).unwrap();
    assert_eq!(fs::read(folder.path().join("snapshot.key.damaged-1")).unwrap(), [1; 33]);
    assert_eq!(restore(&keeper).bans().len(), 1);
}

#[test]
fn a_credential_is_used_and_never_touched() {
    let (folder, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let credential = credentials.path().join("seawall-snapshot.key");
    fs::write(&credential, [8; 32]).unwrap();
    let secret = KeySource::find(folder.path(), Some(credentials.path()));
    let keeper = SnapshotStore { secret, ..at_start(folder.path()) };
    keeper.write(&busy()).unwrap();
    assert_eq!(names(&folder), ["snapshot"], "no key of our own is made");
    assert_eq!(restore(&keeper).bans().len(), 1);
    fs::write(&credential, [8; 16]).unwrap();
    assert_eq!(restore(&keeper).bans().len(), 0);
    let error = keeper.write(&busy()).unwrap_err();
    assert!(error.contains("must have 32 bytes"), "{error}");
    assert_eq!(fs::read(&credential).unwrap(), [8; 16]);
    assert_eq!(names(&folder), ["snapshot.damaged-1"]);
}

#[test]
fn a_key_that_others_could_read_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = at_start(folder.path());
    keeper.write(&busy()).unwrap();
    let key = folder.path().join("snapshot.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(restore(&keeper).bans().len(), 1);
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(SnapshotLedger::default());
    let keeper = keeper(folder.path(), NOW.plus_ms(5_000), || BOOT);
    let mut writer = SnapshotWriter { keeper: keeper.clone(), ledger, last: None };
    let state = busy();
    writer.look(&state);
    fs::remove_file(keeper.place()).unwrap();
    writer.look(&state);
    assert!(!keeper.place().exists());
    ban(&state, 1);
    writer.look(&state);
    assert_eq!(restore(&keeper).bans().len(), 2);
}
