//! The connections of one runtime to one server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Uri};
use tokio::sync::{Semaphore, watch};

use super::Reply;
use super::connection::{Http1, Http2, NoReply, Opened, open};
use super::connector::Connector;
use crate::Error;

/// How many HTTP/1.1 connections there are at most. More requests wait for their turn.
const MAX_HTTP1: usize = 32;

/// One server. While it isn't known which protocol it speaks, one connection is made for all
/// requests that wait.
pub(super) struct Origin {
    uri: Uri,
    connector: Arc<Connector>,
    state: Mutex<State>,
    /// A permit for each request over HTTP/1.1.
    http1: Semaphore,
}

#[derive(Default)]
struct State {
    /// The connection that all requests share, if the server speaks HTTP/2.
    shared: Option<Arc<Http2>>,
    /// Connections on which no request is being sent.
    idle: Vec<Http1>,
    /// Whether the last connection was one of HTTP/1.1.
    speaks_http1: bool,
    /// The outcome of the connection that is being made for all who wait.
    connecting: Option<watch::Receiver<Option<Result<(), Error>>>>,
}

impl Origin {
    pub(super) fn new(uri: Uri, connector: Arc<Connector>) -> Self {
        // Without TLS there is no agreement on HTTP/2.
        let speaks_http1 = uri.scheme_str() == Some("http");
        let state = Mutex::new(State { speaks_http1, ..State::default() });
        Self { uri, connector, state, http1: Semaphore::new(MAX_HTTP1) }
    }

    /// Returns whether there is no connection, and none is being made.
    pub(super) fn is_unused(&self) -> bool {
        let mut state = self.state();
        state.drop_unusable();
        state.shared.is_none() && state.idle.is_empty() && state.connecting.is_none()
    }

    pub(super) async fn send(self: Arc<Self>, request: Request<Bytes>) -> Result<Reply, Error> {
        loop {
            let outcome = match self.shared().await? {
                Some(shared) => self.send_over_http2(&shared, request.clone()).await,
                None => self.send_over_http1(request.clone()).await,
            };
            match outcome {
                Ok(reply) => return Ok(reply),
                Err(NoReply::Again) => {}
                Err(NoReply::Failed(error)) => return Err(error),
            }
        }
    }

    async fn send_over_http2(
        &self,
        connection: &Arc<Http2>,
        request: Request<Bytes>,
    ) -> Result<Reply, NoReply> {
        let outcome = connection.send(request, || self.retire(connection)).await;
        if matches!(outcome, Err(NoReply::Again)) {
            self.retire(connection);
        }
        outcome
    }

    async fn send_over_http1(&self, request: Request<Bytes>) -> Result<Reply, NoReply> {
        let _turn = self.http1.acquire().await;
        let idle = self.state().idle.pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await.map_err(NoReply::Failed)?.ok_or(NoReply::Again)?,
        };
        let reply = connection.send(request).await?;
        self.state().idle.push(connection);
        Ok(reply)
    }

    /// Returns the connection that requests share, or `None` if the server speaks HTTP/1.1.
    async fn shared(self: &Arc<Self>) -> Result<Option<Arc<Http2>>, Error> {
        loop {
            let mut connecting = {
                let mut state = self.state();
                state.drop_unusable();
                if state.shared.is_some() || state.speaks_http1 {
                    return Ok(state.shared.clone());
                }
                state.connecting.get_or_insert_with(|| self.begin_to_connect()).clone()
            };
            // Then the loop finds out what it is.
            outcome_of(&mut connecting).await?;
        }
    }

    /// Starts a task that makes a connection for all requests that wait. It goes on if they are
    /// dropped.
    fn begin_to_connect(self: &Arc<Self>) -> watch::Receiver<Option<Result<(), Error>>> {
        let (sender, receiver) = watch::channel(None);
        let origin = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = origin.connect().await;
            let mut state = origin.state();
            state.connecting = None;
            let outcome = outcome.map(|own| state.idle.extend(own));
            drop(state);
            let _ = sender.send(Some(outcome));
        });
        receiver
    }

    /// Makes a connection. Returns it if only one request can use it at a time.
    async fn connect(&self) -> Result<Option<Http1>, Error> {
        let opened = open(self.connector.connect(&self.uri).await?, &self.uri).await?;
        let mut state = self.state();
        state.speaks_http1 = matches!(opened, Opened::Http1(_));
        match opened {
            Opened::Http1(own) => Ok(Some(own)),
            Opened::Http2(shared) => {
                state.shared = Some(Arc::new(shared));
                Ok(None)
            }
        }
    }

    /// Uses a new connection for later requests. Those that are being sent over this one may still
    /// get replies.
    fn retire(&self, silent: &Arc<Http2>) {
        let mut state = self.state();
        if state.shared.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, silent)) {
            tracing::debug!(
                host = self.uri.host(),
                "the connection brings no replies: the next request makes a new one"
            );
            state.shared = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_unusable(&mut self) {
        self.shared = self.shared.take().filter(|shared| shared.is_usable());
        self.idle.retain(Http1::is_usable);
        // A task that has ended without an outcome was stopped with its runtime.
        self.connecting = self.connecting.take().filter(|outcome| outcome.has_changed().is_ok());
    }
}

/// Waits for the outcome of a connection that another task makes.
async fn outcome_of(outcome: &mut watch::Receiver<Option<Result<(), Error>>>) -> Result<(), Error> {
    match outcome.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(outcome)) => outcome.clone(),
        Ok(None) | Err(_) => Err(Error::transport("the task that makes a connection was stopped", true)),
    }
}
