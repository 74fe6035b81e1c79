//! The control plane: configuration, reload, admin.

mod admin;
mod bans;
mod bell;
mod board;
mod carried;
mod certificates;
mod client;
mod clock;
mod config;
mod disk;
mod ending;
mod foundry;
mod hand_over;
mod history;
mod level_desk;
mod levels;
mod loader;
mod members;
mod memory;
mod metrics;
mod outcome;
mod persist;
mod plane;
mod quarantine;
mod reload;
mod scribe;
mod shelf;
mod socket;
mod status;
mod stop_flag;
mod store;
mod ticker;
mod totals;
mod watch;

pub use admin::{
    ADMIN_ASIDE_MS, ADMIN_BYTES_MAX, ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_MS, ADMIN_LAST_MS,
    ADMIN_TOTAL_MS, ReloadOrder, RollbackOrder,
};
pub use bans::{BAN_MS_MAX, BANS_LISTED_MAX, BY_HAND, BanDone, BanLine, BanList, BanOrder};
pub use bell::{
    Bell, Busy, Change, DEBOUNCE_MS, SETTLE_MS_MAX, WAITERS_MAX, WRITING_QUIET_MS, Wish,
};
pub use board::{Board, LastReload, Past, Posted, Reloads};
pub use carried::{Carried, Reset, Side};
pub use certificates::{
    CERTIFICATE_BYTES_MAX, CERTIFICATES_LOOK_MS, CertificateText, CertificateWatch,
    read_certificates,
};
pub use client::{ANSWER_BYTES_MAX, ANSWER_MS, Client, ClientError};
pub use clock::{WallClock, check_wall_clock, clock, rfc3339};
pub use config::{
    CERTIFICATES_MAX, CONFIG_BYTES_MAX, CertificateFiles, Certificates, ClientHeader, Config,
    ConfigError, ConfigFault, EXEMPT_MAX, FAULTS_MAX, HEALTH_BYTES_MAX, LISTEN_MAX, Limits,
    NEVER_BAN_MAX, ORIGINS_MAX, Origin, OriginTimeouts, PATH_PREFIX_BYTES_MAX, ROUTES_MAX,
    SCRIPTS_MAX, SITES_MAX, SiteConfig, TRUSTED_NETS_MAX, TrustedProxies, load_config,
};
pub use foundry::{
    CODE_BYTES_MAX, CODE_CACHE_BYTES_MAX, CODE_CACHE_FILES_MAX, COMPILE_BYTES_MAX,
    COMPILE_CPU_S_MAX, COMPILE_LARGE_BYTES_MAX, COMPILE_LARGE_CPU_S_MAX, COMPILE_NICENESS,
    COMPILE_QUEUE_MAX, COMPILE_QUEUE_MEMBER_MAX, COMPILE_TRIES_MAX, COMPILE_WAIT_MS,
    DEAR_FILES_MAX, DEAR_KEPT_S, Foundry, Helper, MEMBERS_COMPILE_WAIT_MS, RESULTS_MAX,
    START_COMPILE_WAIT_MS, UPGRADE_COMPILE_WAIT_MS, compile_confined,
};
pub use hand_over::{
    Estate, Frozen, Giver, HAND_OVER_LOAD_MS, HAND_OVER_REST_MS, HAND_OVER_SHUT_MS, HandOverError,
    Socket, Taker,
};
pub use history::{
    Aside, Changed, DATA_HISTORY_MAX, HISTORY_BYTES_MAX, HISTORY_MAX, HostChange, Left,
    MEMBER_HISTORY_BYTES_MAX, MEMBER_HISTORY_MAX, MEMBERS_HISTORY_BYTES_MAX,
    MEMBERS_HISTORY_FILES_MAX, MEMBERS_HISTORY_MAX, Marks, MarksOfParts, PastLine, past_sources,
};
pub use level_desk::{LEVEL_HELD_MS_MAX, LevelDone, LevelOrder};
pub use levels::LevelInputs;
pub use loader::{Back, Built, Loader, MakeWorkshop, TEST_CODE, test_line};
pub use members::{
    LAST_GOOD_BYTES_MAX, MEMBER_LINES_MAX, MEMBER_PROBLEMS_TOLD_MAX, MEMBERS_TOLD_MAX,
};
pub use memory::MemoryWatch;
pub use metrics::{EdgeMetric, FAMILIES, Family, Kind, METRICS_BYTES_MAX, edge_name};
pub use outcome::{
    Cause, Complaint, FileMark, Lifted, MembersRefused, Outcome, Refusal, Tests, Upgraded,
};
pub use persist::{DAMAGED_FILES_MAX, Keeper, SNAPSHOT_EVERY_MS, SNAPSHOT_TIME_PARTS};
pub use plane::{ControlError, ControlPlane, First, Outside, STOP_MS, Upgrade, random_seed};
pub use reload::ranges;
pub use reload::{AGAIN_MS, DOUBT_MS, POLL_MS, READS_MAX};
pub use seawall_sys::{is_ours_alone, keep_to_ourselves, raise_open_files};
pub use socket::SocketError;
pub use status::EdgeReport;
pub use stop_flag::StopFlag;
pub use store::FolderStore;
pub use totals::RETIRED_MAX;
