//! The admin socket, as JSON over HTTP/1.1: `GET /status`, `GET /metrics` (text), `POST /reload`,
//! `POST /rules/NAME/enable`, `GET /bans`, `POST /bans`, `POST /level`, `POST /rollback`, `POST
//! /upgrade`, `GET /history`, `GET /history/NUMBER` and `GET /history/content/SHA256`.
//!
//! With HTTP, `curl --unix-socket` is a client. The socket has mode 0600, because its user can do
//! as much as a user that may write the policy. A connection has a deadline and a maximum of bytes,
//! and their number is limited, so a client that hangs costs little. `GET` changes nothing.

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

/// Maximum of connections; further ones wait in the kernel.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// Timeout of a request's header section, in milliseconds.
pub const ADMIN_HEAD_MS: u64 = 5_000;
/// Timeout of everything after it, in milliseconds. It is long, because a reload compiles.
pub const ADMIN_TOTAL_MS: u64 = 120_000;
/// Milliseconds that pending responses have when the server stops.
pub const ADMIN_LAST_MS: u64 = 500;
/// Timeout of requests without a reload, from the status to a ban, in milliseconds. A request that
/// takes longer waits for the disk or for an upgrade, and gets an error.
pub const ADMIN_ASIDE_MS: u64 = 10_000;
/// Maximum bytes from a client on one connection; our own requests have a few hundred.
pub const ADMIN_BYTES_MAX: usize = 16 << 10;

/// Makes the response to `GET /status`.
pub(crate) type StatusFn = Arc<dyn Fn() -> StatusReport + Send + Sync>;
/// Makes the response to `GET /metrics`.
pub(crate) type MetricsFn = Arc<dyn Fn() -> String + Send + Sync>;
/// Ends the quarantine of a rule, and returns whether that rule exists.
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

/// Serves `listener` until `stop` resolves or is dropped; pending responses are then completed.
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
    // The client whose request ends the process must get its response.
    let last = tokio::time::timeout(Duration::from_millis(ADMIN_LAST_MS), serving).await;
    last.unwrap_or(Ok(()))
}

/// Runs `what` on another thread, since it may wait for the disk or for an upgrade. The one thread
/// that sends responses stays free.
async fn aside<T: Send + 'static>(
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Box<Response>> {
    let done = tokio::task::spawn_blocking(what);
    let why = match tokio::time::timeout(Duration::from_millis(ADMIN_ASIDE_MS), done).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(_)) => "the request failed inside Seawall; please report it",
        Err(_) => {
            "the request takes too long: the disk or an upgrade delays it; repeat the request"
        }
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
    // A request without a body, as curl sends it, is a plain reload.
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
        Ok(None) => problem(StatusCode::NOT_FOUND, "the history has no such generation"),
        Err(late) => *late,
    }
}

/// Sends a file of an earlier generation, which may be large.
async fn answer_content(State(desk): State<AdminState>, Path(sha256): Path<String>) -> Response {
    match aside(move || desk.history.content(&sha256)).await {
        Ok(Some(bytes)) => bytes.into_response(),
        Ok(None) => problem(StatusCode::NOT_FOUND, "the history has no such content"),
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
    problem(StatusCode::NOT_FOUND, "the active policy declares no such extern")
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

/// Changes the state, unless an upgrade is transferring it: the change would be lost with this
/// process.
async fn change<T: Serialize + Send + 'static>(
    still: Arc<WriteGate>,
    what: impl FnOnce() -> T + Send + 'static,
    is_refused: fn(&T) -> bool,
) -> Response {
    // Shorter than the client's timeout, so that nothing is changed after the client gave up.
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
