//! A name server that gives every name the addresses that a test wants, and counts what it is asked.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use hickory_resolver::proto::{
    op::Message,
    rr::{RData, Record, RecordType},
};
use tokio::net::UdpSocket;

/// A running name server. It ends with the runtime of its test.
pub struct NameServer {
    addr: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

/// What it knows.
struct Zone {
    addresses: Vec<IpAddr>,
    /// For how many seconds an answer holds.
    ttl: u32,
    asked: usize,
}

impl NameServer {
    /// Starts one that answers with these addresses.
    pub async fn answering(addresses: &[&str], ttl: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone {
            addresses: parsed(addresses),
            ttl,
            asked: 0,
        }));
        let server = Self {
            addr,
            zone: Arc::clone(&zone),
        };
        #[expect(clippy::disallowed_methods, reason = "ends with the runtime of its test")]
        tokio::spawn(async move {
            let mut packet = [0; 4096];
            while let Ok((length, peer)) = socket.recv_from(&mut packet).await {
                let query = Message::from_vec(&packet[..length]).unwrap();
                let answer = zone.lock().unwrap().answer(query).to_vec().unwrap();
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
        server
    }

    /// Answers otherwise from now on.
    pub fn change(&self, addresses: &[&str]) {
        self.zone.lock().unwrap().addresses = parsed(addresses);
    }

    /// How often it was asked for IPv4 addresses.
    pub fn asked(&self) -> usize {
        self.zone.lock().unwrap().asked
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Zone {
    fn answer(&mut self, query: Message) -> Message {
        let mut answer = query.into_response();
        let question = answer.queries[0].clone();
        self.asked += usize::from(question.query_type() == RecordType::A);
        for address in &self.addresses {
            let data = match address {
                IpAddr::V4(address) => RData::A((*address).into()),
                IpAddr::V6(address) => RData::AAAA((*address).into()),
            };
            if data.record_type() == question.query_type() {
                answer.add_answer(Record::from_rdata(question.name().clone(), self.ttl, data));
            }
        }
        answer
    }
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}
