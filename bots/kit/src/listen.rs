use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    sync::{LazyLock, Mutex, PoisonError},
};

use bedside_contract::ConnectorError;
use listenfd::ListenFd;

use crate::wrong;

/// Sockets that the service manager holds open for us, so that nobody is turned away while we are restarted.
static INHERITED: LazyLock<Mutex<Vec<TcpListener>>> = LazyLock::new(|| {
    let mut passed = ListenFd::from_env();
    let listeners = (0..passed.len()).filter_map(|it| passed.take_tcp_listener(it).ok().flatten());
    Mutex::new(listeners.collect())
});

/// Binds the configured address `key`, or takes over the socket that systemd holds on its port; connections wait until
/// [`crate::serve`].
///
/// # Errors
/// [`ConnectorError::AddressInUse`] with a port that is free, [`ConnectorError::Config`] otherwise.
pub fn bind(key: &str, listen: &str) -> Result<TcpListener, ConnectorError> {
    let address = listen
        .to_socket_addrs()
        .ok()
        .and_then(|mut it| it.next())
        .ok_or_else(|| {
            wrong(
                key,
                format!("{listen:?} is not address:port, e.g. 127.0.0.1:8080"),
            )
        })?;
    if let Some(listener) = inherited(address) {
        return Ok(listener);
    }
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ConnectorError::AddressInUse {
            key: key.to_owned(),
            address: listen.to_owned(),
            suggestion: free_address(address).to_string(),
        },
        _ => wrong(key, format!("cannot listen on {listen}: {error}")),
    })?;
    listener
        .set_nonblocking(true)
        .map_err(|error| wrong(key, error.to_string()))?;
    Ok(listener)
}

/// One on this port, whatever address it stands on: that is then the unit file's to say.
fn inherited(address: SocketAddr) -> Option<TcpListener> {
    let mut sockets = INHERITED.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |it: &TcpListener| it.local_addr().is_ok_and(|it| it.port() == address.port());
    let place = sockets.iter().position(is_it)?;
    let listener = sockets.swap_remove(place);
    listener.set_nonblocking(true).ok()?;
    Some(listener)
}

/// A neighbour of the port that is taken, tried before it is named; any free port if there is none.
fn free_address(taken: SocketAddr) -> SocketAddr {
    (1..=50)
        .filter_map(|step| taken.port().checked_add(step))
        .chain([0])
        .find_map(|port| {
            TcpListener::bind(SocketAddr::new(taken.ip(), port))
                .and_then(|it| it.local_addr())
                .ok()
        })
        .unwrap_or(SocketAddr::new(taken.ip(), 0))
}

#[cfg(test)]
mod tests {
    use bedside_contract::ConnectorError;

    use super::bind;

    #[test]
    fn the_suggested_port_can_be_bound() {
        let taken = bind("ward.listen", "127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = bind("ward.listen", &address).unwrap_err();
        let ConnectorError::AddressInUse { key, suggestion, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(key, "ward.listen");
        assert_ne!(suggestion, address);
        assert!(bind("ward.listen", &suggestion).is_ok());
        let error = bind("ward.listen", "nonsense").unwrap_err().to_string();
        assert!(error.starts_with("ward.listen: \"nonsense\" is not address:port"));
    }
}
