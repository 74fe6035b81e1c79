//! The admin socket, as JSON over HTTP/1.1: `GET /status`, `GET /metrics` (text), `POST /reload`, `POST
//! /rules/NAME/enable`, `GET /bans`, `POST /bans`, `POST /level`, `POST /rollback`,
//! `POST /upgrade`, `GET /history`, `GET /history/NUMBER` and
//! `GET /history/content/SHA256`.
//!
//! HTTP because `curl --unix-socket` is then a client, and a socket of mode 0600 because whoever
//! may write the policy may ask for its reload. A connection has one deadline, a size and a place
//! among few, so that a client that hangs costs little and for a bounded time. `GET` changes
//! nothing.

pub(crate) mod bans;
pub(crate) mod client;
pub(crate) mod history;
pub(crate) mod levels;
mod listener;
pub(crate) mod rejection;
pub(crate) mod socket;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use listener::{LimitedListener, Peer};
use seawall_admin_api::{
    BanRequest, BanResponse, LevelRequest, LevelResponse, ReloadOutcome, ReloadRequest,
    RollbackRequest, StatusReport, UpgradeOutcome,
};
use serde::Serialize;
use serde_json::from_slice;
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, oneshot};

use crate::admin::bans::BanAdmin;
use crate::admin::history::HistoryAdmin;
use crate::admin::levels::LevelAdmin;
use crate::observe::metrics;
use crate::reload::trigger::{ReloadKind, ReloadTrigger};
use crate::runtime::deps::StartUpgradeFn;
use crate::storage::write_gate::WriteGate;

/// Connections at a time; the next waits in the kernel.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// Milliseconds for a request's head to arrive.
pub const ADMIN_HEAD_MS: u64 = 5_000;
/// Milliseconds for everything after it. A reload compiles, so this is long.
pub const ADMIN_TOTAL_MS: u64 = 120_000;
/// Milliseconds that answers under way have to end when the server stops.
pub const ADMIN_LAST_MS: u64 = 500;
/// Milliseconds that an answer is waited for which no reload goes into: from the status to a ban. What
/// takes longer waits for a disk or for a hand-over, and is said to.
pub const ADMIN_ASIDE_MS: u64 = 10_000;
/// Bytes that a client may send on one connection; what we ask for fits into a few hundred.
pub const ADMIN_BYTES_MAX: usize = 16 << 10;

/// What makes the answer to `GET /status`.
pub(crate) type StatusFn = Arc<dyn Fn() -> StatusReport + Send + Sync>;
/// What makes the answer to `GET /metrics`.
pub(crate) type MetricsFn = Arc<dyn Fn() -> String + Send + Sync>;
/// What lets a rule back out of quarantine, and says whether there is such a rule.
pub(crate) type EnableRuleFn = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What the socket gives access to.
#[derive(Clone)]
pub(crate) struct AdminState {
    pub(crate) trigger: Arc<ReloadTrigger>,
    pub(crate) still: Arc<WriteGate>,
    pub(crate) upgrade: StartUpgradeFn,
    pub(crate) status: StatusFn,
    pub(crate) metrics: MetricsFn,
    pub(crate) enable: EnableRuleFn,
    pub(crate) bans: Arc<BanAdmin>,
    pub(crate) levels: Arc<LevelAdmin>,
    pub(crate) history: Arc<HistoryAdmin>,
}

/// Serves `listener` until `stop` resolves or is dropped; what is being answered then is answered.
pub(crate) async fn serve(
    listener: UnixListener,
    desk: AdminState,
    stop: oneshot::Receiver<()>,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/status", get(handle_status))
        .route("/metrics", get(answer_metrics))
        .route("/reload", post(handle_reload))
        .route("/rules/{name}/enable", post(answer_enable))
        .route("/level", post(answer_level))
        .route("/bans", get(answer_bans).post(handle_request))
        .route("/rollback", post(answer_rollback))
        .route("/upgrade", post(answer_upgrade))
        .route("/history", get(answer_history))
        .route("/history/{generation}", get(answer_generation))
        .route("/history/content/{sha256}", get(answer_content))
        .with_state(desk)
        .into_make_service_with_connect_info::<Peer>();
    let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
    let (closing, closed) = oneshot::channel::<()>();
    let serving = axum::serve(LimitedListener { listener, slots: places }, routes);
    let serving = serving.with_graceful_shutdown(async { drop(closed.await) }).into_future();
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => return served,
        _ = stop => {}
    }
    drop(closing);
    // Whoever asked for what ends us is to read the answer.
    let last = tokio::time::timeout(Duration::from_millis(ADMIN_LAST_MS), serving).await;
    last.unwrap_or(Ok(()))
}

/// Does `what` away from the one thread that answers, which so is free for the next who asks: it may
/// wait for a disk or for a hand-over.
async fn aside<T: Send + 'static>(
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Box<Response>> {
    let done = tokio::task::spawn_blocking(what);
    let why = match tokio::time::timeout(Duration::from_millis(ADMIN_ASIDE_MS), done).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(_)) => "answering this failed inside Seawall; please report it",
        Err(_) => "the answer takes too long: the disk or a hand-over holds it up; ask again",
    };
    Err(Box::new(problem(StatusCode::SERVICE_UNAVAILABLE, why)))
}

async fn handle_status(State(desk): State<AdminState>) -> Response {
    aside(move || (desk.status)()).await.map_or_else(|late| *late, |it| Json(it).into_response())
}

async fn answer_metrics(State(desk): State<AdminState>) -> Response {
    let page = |page| ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response();
    aside(move || (desk.metrics)()).await.map_or_else(|late| *late, page)
}

async fn handle_reload(
    State(desk): State<AdminState>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Bytes,
) -> Response {
    // Asked for without a body, as with curl, it is a reload and no more.
    let order = if body.is_empty() { Ok(ReloadRequest::default()) } else { from_slice(&body) };
    match order {
        Ok(ReloadRequest { lift }) => {
            handle_reload_request(&desk, ReloadKind::Reload { lift }, peer).await
        }
        Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn answer_rollback(
    State(desk): State<AdminState>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Json(RollbackRequest { to, back, lift }): Json<RollbackRequest>,
) -> Response {
    handle_reload_request(&desk, ReloadKind::RollBack { to, back, lift }, peer).await
}

async fn answer_upgrade(State(desk): State<AdminState>) -> Response {
    match (desk.upgrade)().await {
        Ok(done @ UpgradeOutcome::Rejected { .. }) => {
            (StatusCode::CONFLICT, Json(done)).into_response()
        }
        Ok(done) => Json(done).into_response(),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"),
    }
}

async fn answer_history(State(desk): State<AdminState>) -> Response {
    let list = aside(move || desk.history.list()).await;
    list.map_or_else(|late| *late, |list| Json(list).into_response())
}

async fn answer_generation(
    State(desk): State<AdminState>,
    Path(generation): Path<u64>,
) -> Response {
    match aside(move || desk.history.one(generation)).await {
        Ok(Some(past)) => Json(past).into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, "no such generation is remembered"),
        Err(late) => *late,
    }
}

/// A file of an earlier generation, which may be large.
async fn answer_content(State(desk): State<AdminState>, Path(sha256): Path<String>) -> Response {
    match aside(move || desk.history.content(&sha256)).await {
        Ok(Some(bytes)) => bytes.into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, "no such content is kept"),
        Err(late) => *late,
    }
}

async fn handle_reload_request(desk: &AdminState, wish: ReloadKind, peer: Peer) -> Response {
    let waiting = match desk.trigger.request(wish, peer.uid) {
        Ok(waiting) => waiting,
        Err(busy) => return problem(StatusCode::SERVICE_UNAVAILABLE, &busy.to_string()),
    };
    match waiting.await {
        Ok(outcome @ ReloadOutcome::Rejected { .. }) => {
            (StatusCode::CONFLICT, Json(outcome)).into_response()
        }
        Ok(outcome) => Json(outcome).into_response(),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"),
    }
}

async fn answer_enable(State(desk): State<AdminState>, Path(name): Path<String>) -> Response {
    if (desk.enable)(&name) {
        return Json(serde_json::json!({ "enabled": name })).into_response();
    }
    problem(StatusCode::NOT_FOUND, "the running policy declares no such extern")
}

async fn answer_level(State(desk): State<AdminState>, Json(order): Json<LevelRequest>) -> Response {
    let is_refused = |done: &LevelResponse| matches!(done, LevelResponse::Rejected { .. });
    change(desk.still, move || desk.levels.obey(&order), is_refused).await
}

async fn answer_bans(State(desk): State<AdminState>) -> Response {
    let list = aside(move || desk.bans.list()).await;
    list.map_or_else(|late| *late, |list| Json(list).into_response())
}

async fn handle_request(State(desk): State<AdminState>, Json(order): Json<BanRequest>) -> Response {
    let is_refused = |done: &BanResponse| matches!(done, BanResponse::Rejected { .. });
    change(desk.still, move || desk.bans.run(&order), is_refused).await
}

/// Changes what is remembered, unless it is being given away: it would be done in a process that ends
/// and not in the next.
async fn change<T: Serialize + Send + 'static>(
    still: Arc<WriteGate>,
    what: impl FnOnce() -> T + Send + 'static,
    is_refused: fn(&T) -> bool,
) -> Response {
    // Shorter than the answer is waited for, so that nothing is done after that was given up.
    let done = aside(move || still.enter_within(ADMIN_ASIDE_MS / 2).map(|_changing| what()));
    match done.await {
        Ok(Ok(done)) => {
            let refused = is_refused(&done);
            let status = if refused { StatusCode::CONFLICT } else { StatusCode::OK };
            (status, Json(done)).into_response()
        }
        Ok(Err(closed)) => problem(StatusCode::SERVICE_UNAVAILABLE, &closed.to_string()),
        Err(late) => *late,
    }
}

fn problem(status: StatusCode, message: &str) -> Response {
    (status, Json(serde_json::json!({ "error": message }))).into_response()
}

#[cfg(test)]
mod tests;
