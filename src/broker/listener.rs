//! Where connections come from, and who is at their other ends.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use super::peer::{Channel, Peer};
use super::policy::Caller;
use super::stream::Stream;
#[cfg(feature = "_tls")]
use super::tls::Tls;

/// How many connections are accepted before their users are looked up together.
pub(super) const BATCH: usize = 64;

/// A socket that listens.
pub(super) enum Listener {
    /// Serves processes of this machine, of which the system tells the users. If `only` is set, closes the connections
    /// of all other users without a reply.
    Loopback { listener: TcpListener, only: Option<u32> },
    /// Serves processes that can open the socket.
    #[cfg(unix)]
    Unix { listener: UnixListener, owner: u32 },
    /// Serves clients with certificates.
    #[cfg(feature = "_tls")]
    Tls { listener: TcpListener, tls: Tls },
    /// Serves everyone.
    Open(TcpListener),
}

/// A connection that was accepted.
pub(super) enum Accepted {
    Ready(Box<dyn Stream>, Peer),
    /// The handshake is still to come.
    #[cfg(feature = "_tls")]
    Tls(TcpStream, Tls),
}

impl Accepted {
    /// Returns the connection once it can be used. `None` if it never can.
    pub(super) async fn establish(self) -> Option<(Box<dyn Stream>, Peer)> {
        match self {
            Self::Ready(stream, peer) => Some((stream, peer)),
            #[cfg(feature = "_tls")]
            Self::Tls(stream, tls) => tls.accept(stream).await,
        }
    }
}

impl Listener {
    /// Waits for a connection, and returns it with those that came at the same time.
    pub(super) async fn accept(&self) -> io::Result<Vec<Accepted>> {
        match self {
            Self::Loopback { listener, only } => {
                let accepted = streams(listener).await?;
                let users = users_of(&accepted).await;
                let known = accepted.into_iter().zip(users);
                Ok(known.filter_map(|(stream, uid)| local(stream, uid, *only)).collect())
            }
            #[cfg(unix)]
            Self::Unix { listener, owner } => {
                let accepted =
                    some(|context| listener.poll_accept(context).map_ok(|(stream, _)| stream)).await?;
                Ok(accepted.into_iter().map(|stream| unix(stream, *owner)).collect())
            }
            #[cfg(feature = "_tls")]
            Self::Tls { listener, tls } => {
                let accepted = streams(listener).await?;
                Ok(accepted.into_iter().map(|stream| Accepted::Tls(stream, tls.clone())).collect())
            }
            Self::Open(listener) => {
                let accepted = streams(listener).await?;
                // It gets no token, so nobody has to know who it is.
                let peer = || Peer { channel: Channel::Open, caller: Caller::new() };
                Ok(accepted.into_iter().map(|stream| Accepted::Ready(Box::new(stream), peer())).collect())
            }
        }
    }
}

/// Waits for a TCP connection, and returns it with those that came at the same time.
async fn streams(listener: &TcpListener) -> io::Result<Vec<TcpStream>> {
    some(|context| listener.poll_accept(context).map_ok(|(stream, _)| stream)).await
}

/// Waits for one, and returns it with those that are ready at once.
async fn some<T>(mut accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<Vec<T>> {
    let mut accepted = vec![poll_fn(&mut accept).await?];
    while accepted.len() < BATCH {
        match poll_fn(|context| Poll::Ready(accept(context))).await {
            Poll::Ready(Ok(next)) => accepted.push(next),
            // An error comes again at the next call.
            Poll::Ready(Err(_)) | Poll::Pending => break,
        }
    }
    Ok(accepted)
}

fn local(stream: TcpStream, uid: Option<u32>, only: Option<u32>) -> Option<Accepted> {
    if only.is_some() && uid != only {
        tracing::debug!(uid, "closed a connection of another user");
        return None;
    }
    let caller = uid.map_or_else(Caller::new, |uid| Caller::new().with_uid(uid));
    Some(Accepted::Ready(Box::new(stream), Peer { channel: Channel::Loopback, caller }))
}

#[cfg(unix)]
fn unix(stream: UnixStream, owner: u32) -> Accepted {
    let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
    let caller = uid.map_or_else(Caller::new, |uid| Caller::new().with_uid(uid));
    let channel = Channel::Unix { is_own: uid == Some(owner) };
    Accepted::Ready(Box::new(stream), Peer { channel, caller })
}

/// Returns the users whose processes are at the other ends of connections from loopback. `None` for those that the
/// system doesn't tell.
#[cfg(target_os = "linux")]
async fn users_of(accepted: &[TcpStream]) -> Vec<Option<u32>> {
    let ends: Vec<_> =
        accepted.iter().map(|stream| Some((stream.peer_addr().ok()?, stream.local_addr().ok()?))).collect();
    // The kernel walks through all sockets of the machine. That takes milliseconds if there are many.
    let users = tokio::task::spawn_blocking(move || super::proc_net::users_of(&ends)).await;
    users.unwrap_or_else(|_| vec![None; accepted.len()])
}

#[cfg(not(target_os = "linux"))]
async fn users_of(accepted: &[TcpStream]) -> Vec<Option<u32>> {
    vec![None; accepted.len()]
}

/// Returns the user whose process listens at `address`. `None` if the system doesn't tell the users of sockets.
pub(super) fn own_user(address: SocketAddr) -> Option<u32> {
    #[cfg(target_os = "linux")]
    return super::proc_net::user_of_listener(address);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = address;
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// conf: I10
    #[tokio::test]
    async fn connections_of_other_users_are_closed_without_a_reply() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = own_user(address).unwrap();
        let mut listener = Listener::Loopback { listener, only: Some(own) };
        for (only, served) in [(Some(own), 1), (Some(own + 1), 0), (None, 1)] {
            if let Listener::Loopback { only: limit, .. } = &mut listener {
                *limit = only;
            }
            let mut client = TcpStream::connect(address).await.unwrap();
            let kept = listener.accept().await.unwrap();
            assert_eq!(kept.len(), served, "{only:?}");
            drop(kept);
            assert_eq!(client.read(&mut [0]).await.unwrap_or_default(), 0, "{only:?}");
        }
    }

    /// conf: Y8
    #[tokio::test]
    async fn the_system_tells_whose_process_has_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = own_user(address);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let socket = UnixListener::bind(&path).unwrap();
        let owner = own.unwrap();
        let _clients =
            (TcpStream::connect(address).await.unwrap(), UnixStream::connect(&path).await.unwrap());
        for (listener, channel) in [
            (Listener::Loopback { listener, only: None }, Channel::Loopback),
            (Listener::Unix { listener: socket, owner }, Channel::Unix { is_own: true }),
        ] {
            let accepted = listener.accept().await.unwrap().remove(0);
            let (_, peer) = accepted.establish().await.unwrap();
            assert_eq!((peer.channel, peer.caller.uid()), (channel, own));
        }
    }
}
