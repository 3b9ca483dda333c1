//! Whose processes are at the other end of the connections.

use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Tells the connections of this user's processes from those of other users.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peers {
    /// The user that is served. `None` if the system doesn't tell who has connected.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code))]
    user: Option<u32>,
}

impl Peers {
    /// Finds out whether the system tells who has connected to `listener`.
    pub(super) fn detect(listener: SocketAddr) -> Self {
        #[cfg(target_os = "linux")]
        return Self { user: super::proc_net::user_of_listener(listener) };
        #[cfg(not(target_os = "linux"))]
        {
            let _ = listener;
            Self { user: None }
        }
    }

    /// Returns whether the system tells who has connected.
    pub(super) fn are_known(self) -> bool {
        self.user.is_some()
    }

    /// Returns the connections that are served, and closes the others without a reply.
    pub(super) async fn served(self, accepted: Vec<TcpStream>) -> Vec<TcpStream> {
        #[cfg(target_os = "linux")]
        if let Some(user) = self.user {
            return of_user(user, accepted).await;
        }
        accepted
    }
}

/// Returns the connections whose other end belongs to `user`.
#[cfg(target_os = "linux")]
async fn of_user(user: u32, accepted: Vec<TcpStream>) -> Vec<TcpStream> {
    let ends: Vec<_> =
        accepted.iter().map(|stream| Some((stream.peer_addr().ok()?, stream.local_addr().ok()?))).collect();
    // The kernel walks through all sockets of the machine. That takes milliseconds if there are many.
    let users = tokio::task::spawn_blocking(move || super::proc_net::users_of(&ends)).await;
    let users = users.unwrap_or_default();
    let all = accepted.into_iter().zip(users.into_iter().chain(std::iter::repeat(None)));
    all.filter_map(|(stream, peer)| {
        if peer != Some(user) {
            tracing::debug!(uid = peer, "closed a connection of another user");
            return None;
        }
        Some(stream)
    })
    .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    /// conf: I10
    #[tokio::test]
    async fn connections_of_other_users_are_closed_without_a_reply() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = Peers::detect(address);
        assert!(own.are_known());
        let other = Peers { user: own.user.map(|user| user + 1) };
        for (peers, served) in [(own, 1), (other, 0)] {
            let mut client = TcpStream::connect(address).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            let kept = peers.served(vec![accepted]).await;
            assert_eq!(kept.len(), served, "{peers:?}");
            drop(kept);
            assert_eq!(client.read(&mut [0]).await.unwrap_or_default(), 0, "{peers:?}");
        }
    }

    #[tokio::test]
    async fn all_connections_are_served_if_the_system_does_not_tell_whose_they_are() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(Peers { user: None }.served(vec![accepted]).await.len(), 1);
    }
}
