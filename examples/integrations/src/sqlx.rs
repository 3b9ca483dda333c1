//! sqlx with Cloud SQL for PostgreSQL: the password of each new connection is a fresh token.
//!
//! With IAM database authentication, an account's password is one of its access tokens, and Cloud SQL
//! checks it when a connection is opened. A database sees the password, so the token must have no other
//! scope than [`SQL_LOGIN`]: with it, nobody can do anything but log in.

use gcp_iam_credentials::{Credentials, Error, ServiceAccountName};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{PgPool, Postgres};

use crate::requirement::{self, refused};

/// The scope of tokens that are passwords.
pub const SQL_LOGIN: &str = "https://www.googleapis.com/auth/sqlservice.login";

/// A pool whose new connections log in with a fresh token. It isn't `Debug`: sqlx shows passwords.
#[derive(Clone)]
pub struct CloudSqlPool {
    pool: PgPool,
    options: PgConnectOptions,
    credentials: Credentials,
}

impl CloudSqlPool {
    /// Creates a pool that opens no connection yet. The user is the credentials' account.
    ///
    /// `pool` must keep the default of no minimum of connections: sqlx opens those on its own, with the
    /// password of the last [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// The credentials are for something else than access tokens with just the scope [`SQL_LOGIN`], their
    /// account isn't known, or the password could get to another host: the host is neither a socket nor a
    /// loopback address, which the Cloud SQL Auth Proxy has, and `ssl_mode` isn't `VerifyCa` or `VerifyFull`.
    pub fn new(
        credentials: Credentials,
        options: PgConnectOptions,
        pool: PgPoolOptions,
    ) -> Result<Self, Error> {
        requirement::access_tokens(&credentials)?;
        let info = credentials.info();
        if info.scopes() != [SQL_LOGIN] {
            return Err(refused(format!("the only scope must be {SQL_LOGIN}, got {:?}", info.scopes())));
        }
        if !keeps_password(&options) {
            return Err(refused("ssl_mode must be VerifyCa or VerifyFull for a host that isn't local"));
        }
        let user = info.principal().and_then(user).ok_or_else(|| refused("the account isn't known"))?;
        let options = options.username(&user);
        Ok(Self { pool: pool.connect_lazy_with(options.clone()), options, credentials })
    }

    /// Returns a connection: an idle one, or a new one that logs in with the current token.
    ///
    /// # Errors
    ///
    /// sqlx's. If there is no token, it is `Configuration` with this crate's error.
    pub async fn acquire(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        let token =
            self.credentials.token().await.map_err(|error| sqlx::Error::Configuration(error.into()))?;
        self.pool.set_connect_options(self.options.clone().password(token.secret()));
        self.pool.acquire().await
    }
}

/// Returns the name of an account's database user. A user's is the e-mail address, a service account's
/// that without `.gserviceaccount.com`.
fn user(principal: &str) -> Option<String> {
    let name: ServiceAccountName = principal.parse().ok()?;
    let email = name.account().contains('@').then(|| name.account().to_lowercase())?;
    Some(email.strip_suffix(".gserviceaccount.com").unwrap_or(&email).to_owned())
}

/// Returns whether only the host that is named can get the password.
fn keeps_password(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let is_loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let is_local =
        options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || is_loopback;
    is_local || matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use gcp_iam_credentials::scopes::CLOUD_PLATFORM;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::testing::{ACCOUNT, Google};

    /// The user and the password of each login.
    type Logins = Arc<Mutex<Vec<(String, String)>>>;

    /// A PostgreSQL server that accepts all passwords, and no query.
    async fn database(logins: Logins) -> PgConnectOptions {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(log_in(stream, Arc::clone(&logins)));
            }
        });
        PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).ssl_mode(PgSslMode::Disable)
    }

    /// Handles the start of a connection, and keeps it open until the client ends it.
    async fn log_in(mut stream: TcpStream, logins: Logins) -> io::Result<()> {
        const CLEARTEXT_PASSWORD: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
        const LOGGED_IN_AND_READY: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
        let startup = message(&mut stream).await?;
        stream.write_all(CLEARTEXT_PASSWORD).await?;
        assert_eq!(stream.read_u8().await?, b'p');
        let password = message(&mut stream).await?;
        // Behind the protocol's version, the startup message has names and values in turn.
        let mut texts = startup[4..].split(|byte| *byte == 0);
        texts.find(|text| text == b"user").unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let login = (text(texts.next().unwrap()), text(password.strip_suffix(b"\0").unwrap()));
        logins.lock().unwrap().push(login);
        stream.write_all(LOGGED_IN_AND_READY).await?;
        stream.read_to_end(&mut Vec::new()).await.map(drop)
    }

    /// Reads a message behind its type.
    async fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let length = stream.read_u32().await?;
        let mut content = vec![0; length as usize - 4];
        stream.read_exact(&mut content).await?;
        Ok(content)
    }

    /// conf: K15
    #[tokio::test]
    async fn each_new_connection_logs_in_with_the_current_token() {
        let google = Google::start().await;
        let acting = google.robot().access_token([SQL_LOGIN]).unwrap();
        let logins = Logins::default();
        let options = database(Arc::clone(&logins)).await;
        let pool = CloudSqlPool::new(acting.clone(), options, PgPoolOptions::new()).unwrap();
        let first = pool.acquire().await.unwrap();
        acting.refresh().await.unwrap();
        let second = pool.acquire().await.unwrap();

        let logins = std::mem::take(&mut *logins.lock().unwrap());
        assert_eq!(logins.len(), 2);
        assert_ne!(logins[0].1, logins[1].1, "the refreshed token wasn't used");
        for (user, password) in logins {
            assert_eq!(user, "robot@project.iam");
            assert_eq!(google.owner(&password).unwrap(), (ACCOUNT.to_owned(), vec![SQL_LOGIN.to_owned()]));
        }
        drop((first, second));
    }

    fn pool_of(credentials: &Credentials, options: PgConnectOptions) -> Result<CloudSqlPool, Error> {
        CloudSqlPool::new(credentials.clone(), options, PgPoolOptions::new())
    }

    /// conf: K15
    #[tokio::test]
    async fn a_database_gets_no_token_that_can_do_more_than_log_in() {
        let google = Google::start().await;
        let local = || PgConnectOptions::new_without_pgpass().host("localhost");
        for scopes in [&[CLOUD_PLATFORM][..], &[SQL_LOGIN, CLOUD_PLATFORM]] {
            let wide = google.robot().access_token(scopes).unwrap();
            assert!(pool_of(&wide, local()).is_err(), "{scopes:?}");
        }
        let id_tokens = google.robot().id_token("https://database.example").unwrap();
        assert!(pool_of(&id_tokens, local()).is_err());
        let narrow = google.robot().access_token([SQL_LOGIN]).unwrap();
        assert!(pool_of(&narrow, local()).is_ok());
    }

    /// conf: K12
    #[tokio::test]
    async fn only_a_verified_or_a_local_database_gets_the_password() {
        let google = Google::start().await;
        let acting = google.robot().access_token([SQL_LOGIN]).unwrap();
        let options = |host: &str, mode| PgConnectOptions::new_without_pgpass().host(host).ssl_mode(mode);
        for host in ["10.0.0.1", "database.example", "localhost.example", "::2"] {
            for mode in [PgSslMode::Disable, PgSslMode::Allow, PgSslMode::Prefer, PgSslMode::Require] {
                assert!(pool_of(&acting, options(host, mode)).is_err(), "{host} {mode:?}");
            }
            assert!(pool_of(&acting, options(host, PgSslMode::VerifyCa)).is_ok(), "{host}");
        }
        for host in ["127.0.0.1", "::1", "localhost", "/cloudsql/project:region:instance"] {
            assert!(pool_of(&acting, options(host, PgSslMode::Prefer)).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_service_accounts_user_has_no_domain() {
        assert_eq!(user(ACCOUNT).unwrap(), "robot@project.iam");
        assert_eq!(user("Ada@Example.com").unwrap(), "ada@example.com");
        assert_eq!(user(&format!("projects/-/serviceAccounts/{ACCOUNT}")).unwrap(), "robot@project.iam");
        for other in ["117", "principal://iam.googleapis.com/projects/1/subject/ada@example.com", ""] {
            assert_eq!(user(other), None, "{other}");
        }
    }
}
