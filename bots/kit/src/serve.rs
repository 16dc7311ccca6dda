use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request};
use bedside_contract::ConnectorError;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

use crate::{TrustedProxies, wrong};

/// How much of a server one client may take. The response has no deadline: it may be a stream.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Open at once, in all.
    pub connections: usize,
    /// Open at once from one address; trusted proxies are not counted.
    pub per_address: usize,
    pub proxies: TrustedProxies,
    /// For the head of a request, from the first byte or from the end of the request before.
    pub head_within: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 8_000,
            per_address: 1_000,
            proxies: TrustedProxies::default(),
            head_within: Duration::from_secs(30),
        }
    }
}

/// After a failed `accept` (no file descriptors left), so that it does not spin.
const AFTER_A_FAILURE: Duration = Duration::from_millis(500);

/// Serves HTTP/1.1 on the port that `key` names. Handlers find the peer in `ConnectInfo<SocketAddr>`. Ends only with an
/// error; connections that are open when it is dropped go on.
///
/// # Errors
/// [`ConnectorError::Config`] if the listener cannot be used.
pub async fn serve(
    key: &str,
    listener: std::net::TcpListener,
    router: Router,
    limits: ConnectionLimits,
) -> Result<(), ConnectorError> {
    let listener = TcpListener::from_std(listener).map_err(|error| wrong(key, error.to_string()))?;
    let places = Places::new(&limits);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                tracing::error!(%error, key, "A connection could not be accepted.");
                tokio::time::sleep(AFTER_A_FAILURE).await;
                continue;
            }
        };
        let Some(place) = places.take(peer.ip()) else {
            tracing::warn!(
                key,
                "A connection was refused: too many are open, in all or from its address."
            );
            continue;
        };
        // Without it a streamed word waits for the one before to be confirmed.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused.");
        }
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request.map(Body::new))
        });
        tokio::spawn(async move {
            let ended = connection(stream, service, limits.head_within).await;
            if let Err(error) = ended {
                tracing::debug!(%error, "A connection ended early.");
            }
            drop(place);
        });
    }
}

async fn connection<S>(stream: TcpStream, service: S, head_within: Duration) -> hyper::Result<()>
where
    S: hyper::service::Service<
            Request<Incoming>,
            Response = axum::response::Response,
            Error = std::convert::Infallible,
        >,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_within)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Room for open connections.
struct Places {
    free: Arc<Semaphore>,
    per_address: usize,
    proxies: TrustedProxies,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Of one connection; given back on drop.
struct Place {
    _permit: OwnedSemaphorePermit,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// None for a proxy.
    address: Option<IpAddr>,
}

impl Places {
    fn new(limits: &ConnectionLimits) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            per_address: limits.per_address,
            proxies: limits.proxies.clone(),
            open: Arc::default(),
        }
    }

    fn take(&self, peer: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        let address = (!self.proxies.trust(peer)).then_some(peer);
        if let Some(address) = address {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let here = open.entry(address).or_default();
            if *here >= self.per_address {
                return None;
            }
            *here += 1;
        }
        Some(Place {
            _permit: permit,
            open: Arc::clone(&self.open),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = open.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                open.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use axum::{Router, extract::ConnectInfo, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::{ConnectionLimits, serve};
    use crate::{TrustedProxies, bind};

    async fn start(limits: ConnectionLimits) -> SocketAddr {
        let listener = bind("ward.listen", "127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.ip().to_string();
        let router = Router::new().route("/", get(peer));
        tokio::spawn(async move { serve("ward.listen", listener, router, limits).await });
        address
    }

    async fn ask(stream: &mut TcpStream) -> String {
        let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
        if stream.write_all(request).await.is_err() {
            return String::new();
        }
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap_or_default();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    async fn is_closed_within(mut stream: TcpStream, limit: Duration) -> bool {
        let end = async {
            let mut rest = Vec::new();
            _ = stream.read_to_end(&mut rest).await;
        };
        tokio::time::timeout(limit, end).await.is_ok()
    }

    #[tokio::test]
    async fn slow_and_idle_connections_are_closed() {
        let address = start(ConnectionLimits {
            head_within: Duration::from_millis(300),
            ..ConnectionLimits::default()
        })
        .await;
        let silent = TcpStream::connect(address).await.unwrap();
        let mut halting = TcpStream::connect(address).await.unwrap();
        halting.write_all(b"GET / HT").await.unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        assert!(
            ask(&mut idle).await.ends_with("127.0.0.1"),
            "the handler knows its peer"
        );
        for stream in [silent, halting, idle] {
            assert!(is_closed_within(stream, Duration::from_secs(5)).await);
        }
    }

    #[tokio::test]
    async fn one_address_cannot_take_all_places() {
        let limits = ConnectionLimits {
            connections: 5,
            per_address: 2,
            ..ConnectionLimits::default()
        };
        let address = start(limits.clone()).await;
        let mut open = Vec::new();
        for expect in [true, true, false] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            assert_eq!(ask(&mut stream).await.contains("200 OK"), expect);
            open.push(stream);
        }
        open.clear();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut again = TcpStream::connect(address).await.unwrap();
        assert!(
            ask(&mut again).await.contains("200 OK"),
            "a closed one makes room"
        );

        let behind_a_proxy = start(ConnectionLimits {
            proxies: TrustedProxies::parse("k", &["127.0.0.1".to_owned()]).unwrap(),
            ..limits
        })
        .await;
        for expect in [true, true, true, true, true, false] {
            let mut stream = TcpStream::connect(behind_a_proxy).await.unwrap();
            assert_eq!(ask(&mut stream).await.contains("200 OK"), expect);
            open.push(stream);
        }
    }
}
