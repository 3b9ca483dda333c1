//! The bytes of a connection.

use tokio::io::{AsyncRead, AsyncWrite};

/// The bytes of a connection, whatever carries them.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}
