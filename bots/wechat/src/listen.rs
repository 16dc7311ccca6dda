//! The port on which WeChat's requests are taken.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
};

use bedside_contract::ConnectorError;

use crate::config::wrong;

/// Binds `wechat.listen`, or says which port is free.
pub(crate) fn bind(listen: &str) -> Result<TcpListener, ConnectorError> {
    let address = listen
        .to_socket_addrs()
        .ok()
        .and_then(|mut it| it.next())
        .ok_or_else(|| {
            wrong(
                "listen",
                format!("{listen:?} is not address:port, e.g. 127.0.0.1:8081"),
            )
        })?;
    let listener = TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ConnectorError::AddressInUse {
            key: "wechat.listen".to_owned(),
            address: listen.to_owned(),
            suggestion: free_address(address).to_string(),
        },
        _ => wrong("listen", format!("cannot listen on {listen}: {error}")),
    })?;
    listener
        .set_nonblocking(true)
        .map_err(|error| wrong("listen", error.to_string()))?;
    Ok(listener)
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
