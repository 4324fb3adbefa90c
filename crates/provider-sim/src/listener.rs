//! TCP connections that a handler can cut before its answer leaves.
//!
//! In scope: accepting, cutting with a reset. Not in scope: HTTP.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The scissors of one connection; each request of the connection has the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<AtomicBool>);

impl Wire {
    /// From now on nothing is written any more: the next write resets the connection.
    pub(crate) fn cut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Wire {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A listener whose connections can be cut.
pub(crate) struct CuttableListener(TcpListener);

impl CuttableListener {
    /// Binds 127.0.0.1; port 0 takes a free one.
    pub(crate) async fn bind(port: u16) -> io::Result<Self> {
        TcpListener::bind(("127.0.0.1", port)).await.map(Self)
    }

    pub(crate) fn socket_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Listener for CuttableListener {
    type Io = CuttableStream;
    type Addr = Wire;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (tcp, _) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for more bytes; failing to say so only costs time.
        tcp.set_nodelay(true).ok();
        let wire = Wire::default();
        (
            CuttableStream {
                tcp,
                wire: wire.clone(),
            },
            wire,
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(Wire::default())
    }
}

/// One connection.
pub(crate) struct CuttableStream {
    tcp: TcpStream,
    wire: Wire,
}

impl CuttableStream {
    fn check(&self) -> io::Result<()> {
        if self.wire.is_cut() {
            // Without lingering the drop sends a reset instead of an orderly end.
            self.tcp.set_zero_linger().ok();
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for CuttableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
