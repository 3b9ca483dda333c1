//! The users of sockets, from the kernel's tables under `/proc/net`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::{fs, io};

/// IPv4 over IPv4, and the rest: a socket of IPv6 may have an IPv4 peer.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// How often the tables are read if a connection isn't in them. They aren't a snapshot: a row may be missed
/// while others come and go.
const READS: usize = 3;

const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;
/// States of a socket that a process still has: established, or one side has sent its last byte. In
/// other states the socket has no process, and the row shows root as its user.
const LIVE: [u8; 4] = [ESTABLISHED, 4, 5, 8];

/// The two ends of a connection, seen from the peer: its own address, and ours.
type Ends = (SocketAddr, SocketAddr);

/// A row of a table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    uid: u32,
    /// 0 if no process has the socket. Then the user is shown as root.
    inode: u64,
}

/// Returns the user of the socket that listens at `address`. `None` if the tables can't be used.
pub(super) fn user_of_listener(address: SocketAddr) -> Option<u32> {
    let rows = rows().ok()?;
    let listens = |row: &&Row| row.local == address && row.state == LISTEN && row.inode != 0;
    rows.iter().find(listens).map(|row| row.uid)
}

/// Returns the users of the peers of connections: `None` for those that aren't known.
pub(super) fn users_of(connections: &[Option<Ends>]) -> Vec<Option<u32>> {
    let mut users = vec![None; connections.len()];
    for _ in 0..READS {
        let Ok(rows) = rows() else { break };
        let known = by_ends(rows);
        for (user, ends) in users.iter_mut().zip(connections) {
            let ends = ends.map(|(peer, own)| (canonical(peer), canonical(own)));
            *user = user.or_else(|| known.get(&ends?).copied());
        }
        if users.iter().all(Option::is_some) {
            break;
        }
    }
    users
}

fn by_ends(rows: Vec<Row>) -> HashMap<Ends, u32> {
    let live = rows.into_iter().filter(|row| LIVE.contains(&row.state) && row.inode != 0);
    live.map(|row| ((row.local, row.remote), row.uid)).collect()
}

fn rows() -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for table in TABLES {
        match fs::read_to_string(table) {
            Ok(text) => rows.extend(text.lines().filter_map(row)),
            // A kernel without IPv6 has no table for it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rows)
}

/// Reads a row: a number, the two addresses, the state, three fields about queues and timers, the uid,
/// a time, and the inode. The first row has the names of the columns.
fn row(line: &str) -> Option<Row> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    Some(Row {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        uid: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Reads an address: words of four bytes in the order of this machine, each in hexadecimal, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':').filter(|(ip, _)| matches!(ip.len(), 8 | 32))?;
    let words =
        ip.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    let ip = match (<[u8; 4]>::try_from(&*bytes), <[u8; 16]>::try_from(&*bytes)) {
        (Ok(v4), _) => IpAddr::V4(Ipv4Addr::from(v4)),
        (_, Ok(v6)) => IpAddr::V6(Ipv6Addr::from(v6)),
        _ => return None,
    };
    Some(canonical(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?)))
}

/// Returns an IPv4 address in the form of an IPv6 address as IPv4. Scopes don't matter on loopback.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn own_user() -> u32 {
        fs::metadata("/proc/self").unwrap().uid()
    }

    /// conf: I10
    #[test]
    #[cfg(target_endian = "little")]
    fn rows_are_read() {
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        assert_eq!(row(header), None);
        let v4 = "   4: 0100007F:B4A2 0100007F:1F9F 01 00000000:00000000 00:00000000 00000000  1000        0 71219 1 0 20 4";
        let expected = Row {
            local: "127.0.0.1:46242".parse().unwrap(),
            remote: "127.0.0.1:8095".parse().unwrap(),
            state: ESTABLISHED,
            uid: 1000,
            inode: 71219,
        };
        assert_eq!(row(v4), Some(expected));
        let v6 = "0: 0000000000000000FFFF00000100007F:B4A2 00000000000000000000000001000000:1F9F 08 0:0 0:0 0 0 0 0 1 0";
        let v6 = row(v6).unwrap();
        assert_eq!(v6.local, "127.0.0.1:46242".parse().unwrap(), "IPv4 in the form of IPv6");
        assert_eq!(v6.remote, "[::1]:8095".parse().unwrap());
        for broken in
            ["", "0: x y", "0: 0100007F:B4A2 0100007F 01 0 0 0 1 0 1", "0: 01:1 01:1 01 0 0 0 1 0 1"]
        {
            assert_eq!(row(broken), None, "{broken}");
        }
    }

    /// conf: I10
    #[test]
    fn a_socket_that_no_process_has_is_nobodys() {
        let ends = ("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap());
        let row = |state, inode| Row { local: ends.0, remote: ends.1, state, uid: 0, inode };
        for state in 0..16 {
            assert!(by_ends(vec![row(state, 0)]).is_empty(), "state {state} without a process");
            let live = matches!(state, 1 | 4 | 5 | 8);
            assert_eq!(by_ends(vec![row(state, 7)]).contains_key(&ends), live, "state {state}");
        }
    }

    /// conf: I10
    #[test]
    fn the_kernel_tells_who_has_connected() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let own = listener.local_addr().unwrap();
            assert_eq!(user_of_listener(own), Some(own_user()), "{address}");
            let client = TcpStream::connect(own).unwrap();
            let (accepted, peer) = listener.accept().unwrap();
            let ends = Some((peer, accepted.local_addr().unwrap()));
            assert_eq!(users_of(&[ends, None]), [Some(own_user()), None], "{address}");
            drop(client);
            assert_eq!(users_of(&[ends]), [None], "{address}: the process has closed its socket");
        }
    }
}
