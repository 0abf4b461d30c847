//! Where a node listens. Everything is on loopback unless told otherwise.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

use super::{environment::Found, file::NodeOverrides, reader::Reader};

/// The addresses of the listeners. Port 0 takes any free port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The data plane.
    pub proxy: SocketAddr,
    /// Admin API and UI.
    pub admin: SocketAddr,
    /// Health and metrics of a process without the admin role.
    pub ops: SocketAddr,
}

/// The README's minimal example has its backend on 8080, so not that.
const PROXY: SocketAddr = SocketAddr::new(LOOPBACK, 8000);
/// Where the README's users open the dashboard.
const ADMIN: SocketAddr = SocketAddr::new(LOOPBACK, 3000);
const OPS: SocketAddr = SocketAddr::new(LOOPBACK, 9900);

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// An address as people write it: `0.0.0.0:8000`, `localhost:8000`, or a port alone, which is on loopback.
struct Address(SocketAddr);

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let on_loopback = text.strip_prefix("localhost:").unwrap_or(text).parse();
        let address = on_loopback
            .map(|port| SocketAddr::new(LOOPBACK, port))
            .or_else(|_| text.parse());
        address
            .map(Self)
            .map_err(|_| format!("{text:?} is not an address: write 127.0.0.1:8000, [::1]:8000 or 8000"))
    }
}

/// Reads the addresses. The proxy's may be given by the file and by `PORT` too; where one of the others is in its way
/// and was not asked for, it moves up by one.
pub(super) fn read(reader: &mut Reader<'_>, file: &NodeOverrides) -> Listen {
    let in_file = SocketAddr::new(file.host.unwrap_or(PROXY.ip()), file.port.unwrap_or(PROXY.port()));
    let proxy = match reader.find(&["FLEXGATE_PROXY_ADDR", "PORT"]) {
        Some(Found { name: "PORT", .. }) => reader
            .parsed("PORT")
            .map_or(in_file, |port| SocketAddr::new(in_file.ip(), port)),
        Some(found) => reader
            .parse(found, str::parse)
            .map_or(in_file, |Address(address)| address),
        None => in_file,
    };
    Listen {
        proxy,
        admin: beside(reader, proxy, "FLEXGATE_ADMIN_ADDR", ADMIN, "the admin API"),
        ops: beside(reader, proxy, "FLEXGATE_OPS_ADDR", OPS, "health and metrics"),
    }
}

fn beside(
    reader: &mut Reader<'_>,
    proxy: SocketAddr,
    name: &'static str,
    default: SocketAddr,
    what: &str,
) -> SocketAddr {
    let Some(Address(asked)) = reader.parsed(name) else {
        if !collide(proxy, default) {
            return default;
        }
        let moved = SocketAddr::new(default.ip(), default.port() + 1);
        reader.warn(format!(
            "the proxy listens on port {}, so {what} moved to {moved} (set {name} to choose)",
            proxy.port()
        ));
        return moved;
    };
    if collide(proxy, asked) {
        reader.mistake(format!(
            "{name}: {asked} is where the proxy listens; give one of them another port"
        ));
    }
    asked
}

/// The address that a variable names.
pub(super) fn parsed(reader: &mut Reader<'_>, name: &'static str) -> Option<SocketAddr> {
    reader.parsed(name).map(|Address(address)| address)
}

/// Whether two listeners cannot be at once.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_host = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_host
}
