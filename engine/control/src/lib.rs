//! The control plane: configuration, reload, admin.

mod admin;
mod certificates;
mod compile;
mod config_file;
mod generations;
mod level_ticker;
mod members;
mod observe;
mod policy_source;
mod reload;
mod runtime;
mod snapshot;
mod storage;
mod upgrade;
mod util;

pub use admin::bans::{BAN_MS_MAX, BANS_LISTED_MAX};
pub use admin::client::{ANSWER_BYTES_MAX, ANSWER_MS, AdminClientError, Client};
pub use admin::history::GenerationEntry;
pub use admin::levels::LEVEL_HELD_MS_MAX;
pub use admin::socket::SocketError;
pub use admin::{
    ADMIN_ASIDE_MS, ADMIN_BYTES_MAX, ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_MS, ADMIN_LAST_MS,
    ADMIN_TOTAL_MS,
};
pub use certificates::{
    CERTIFICATE_BYTES_MAX, CERTIFICATES_LOOK_MS, CertificateWatcher, read_certificates,
};
pub use compile::{
    CODE_BYTES_MAX, CODE_CACHE_BYTES_MAX, CODE_CACHE_FILES_MAX, COMPILE_BYTES_MAX,
    COMPILE_CPU_S_MAX, COMPILE_LARGE_BYTES_MAX, COMPILE_LARGE_CPU_S_MAX, COMPILE_NICENESS,
    COMPILE_QUEUE_MAX, COMPILE_QUEUE_MEMBER_MAX, COMPILE_TRIES_MAX, COMPILE_WAIT_MS,
    CompilerProcess, ComponentCompiler, DEAR_FILES_MAX, DEAR_KEPT_S, MEMBERS_COMPILE_WAIT_MS,
    RESULTS_MAX, START_COMPILE_WAIT_MS, UPGRADE_COMPILE_WAIT_MS, compile_confined,
};
pub use config_file::{effective_config, load_config};
pub use generations::retention::{
    DATA_HISTORY_MAX, HISTORY_MAX, MEMBER_HISTORY_MAX, MEMBERS_HISTORY_FILES_MAX,
    MEMBERS_HISTORY_MAX,
};
pub use generations::sources::past_sources;
pub use generations::{HISTORY_BYTES_MAX, MEMBER_HISTORY_BYTES_MAX, MEMBERS_HISTORY_BYTES_MAX};
pub use level_ticker::LevelInputsFn;
pub use members::{
    LAST_GOOD_BYTES_MAX, MEMBER_LINES_MAX, MEMBER_PROBLEMS_TOLD_MAX, MEMBERS_TOLD_MAX,
};
pub use observe::decision_totals::RETIRED_MAX;
pub use observe::memory_monitor::MemoryMonitor;
pub use observe::metrics::{
    FAMILIES, HISTOGRAM_SITES_MAX, METRICS_BYTES_MAX, MetricFamily, MetricKind,
};
pub use policy_source::loader::{
    AGAIN_MS, BuildResult, MakeBuilderFn, PolicyLoader, READS_MAX, TEST_CODE, test_line,
};
pub use policy_source::policy_dir::PolicyDir;
pub use reload::counter_report::{PolicyView, foreseen};
pub use reload::status::{ReloadStatus, ReloadStatusSnapshot};
pub use reload::trigger::{
    DEBOUNCE_MS, FileChange, ReloadKind, ReloadTrigger, SETTLE_MS_MAX, TooManyWaiters, WAITERS_MAX,
    WRITING_QUIET_MS,
};
pub use reload::{DOUBT_MS, POLL_MS, ranges};
pub use runtime::bootstrap::Bootstrap;
pub use runtime::deps::{ControlDeps, ProxyReportFn, StartUpgradeFn};
pub use runtime::{ControlError, ControlPlane, STOP_MS};
pub use seawall_sys::{harden_process, is_private_dir, raise_nofile_limit};
pub use snapshot::{SNAPSHOT_EVERY_MS, SNAPSHOT_TIME_PARTS, SnapshotStore};
pub use storage::damaged::DAMAGED_FILES_MAX;
pub use upgrade::{
    FrozenState, HAND_OVER_LOAD_MS, HAND_OVER_REST_MS, HAND_OVER_SHUT_MS, HandedSocket,
    TransferableState, UpgradeChild, UpgradeError, UpgradeParent,
};
pub use util::clock::{WallClock, check_wall_clock, clock, rfc3339};
pub use util::random::random_seed;
pub use util::stop_flag::StopFlag;
