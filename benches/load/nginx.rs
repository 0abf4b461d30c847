//! nginx, as the backend and as a proxy.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Instant,
};

use crate::cluster::{Certificate, Running, free_port, wait_for};
use crate::fixtures::PATIENCE;

/// Workers of nginx, as many as FlexGate has threads: the cores of the machine.
pub const WORKERS: usize = 2;

/// Whether a tool is on the path.
pub fn is_installed(tool: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("PATH=$PATH:/usr/sbin command -v {tool}")])
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .success()
}

/// nginx that answers with 128 bytes by itself.
pub struct Backend {
    _running: NginxProcess,
    port: u16,
}

impl Backend {
    /// Starts it.
    pub fn start(folder: &Path) -> Self {
        let port = free_port();
        let body = "x".repeat(128);
        let server = format!(
            "access_log off; keepalive_requests 100000000;
             server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{body}'; }} }}"
        );
        Self {
            _running: NginxProcess::start(&folder.join("backend"), &server, port),
            port,
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// nginx as a proxy that adds what FlexGate adds.
pub struct Nginx {
    running: NginxProcess,
    ports: Ports,
}

/// Where a proxy listens, for each way of speaking to it.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// HTTP/1.1.
    pub http1: u16,
    /// HTTP/2 with prior knowledge.
    pub http2: u16,
    /// HTTP/1.1 within TLS.
    pub tls: u16,
}

/// nginx as a proxy that also asks for a key, counts requests, and writes each of them down.
pub struct GuardedNginx {
    running: NginxProcess,
    port: u16,
}

impl GuardedNginx {
    /// Starts it in front of the backend, for clients with this key: those with another one are refused. A limit that is never reached, and a line of JSON for
    /// each request, which is in the system's page cache before the next one, as FlexGate's outcomes are.
    pub fn start(folder: &Path, backend: u16, key: &str) -> Self {
        let port = free_port();
        let folder = folder.join("guarded-nginx");
        let server = format!(
            "map_hash_bucket_size 128;
             map $http_x_api_key $client {{ default ''; '{key}' bench; }}
             limit_req_zone $client zone=clients:1m rate=1000000r/s;
             log_format outcome escape=json '{{\"time\":\"$msec\",\"id\":\"$request_id\",\"client\":\"$remote_addr\",\"key\":\"$client\",'
               '\"method\":\"$request_method\",\"host\":\"$http_host\",\"path\":\"$uri\",\"status\":$status,\"seconds\":$request_time,'
               '\"upstream\":\"$upstream_addr\",\"upstream_seconds\":\"$upstream_response_time\",\"bytes_in\":$request_length,'
               '\"bytes_out\":$body_bytes_sent,\"user_agent\":\"$http_user_agent\",\"trace\":\"$http_traceparent\"}}';
             access_log {}/access.log outcome;
             {}
             server {{
               listen 127.0.0.1:{port} reuseport;
               location / {{
                 if ($client = '') {{ return 401; }}
                 limit_req zone=clients burst=1000000 nodelay;
                 proxy_set_header X-API-Key '';
                 proxy_set_header X-FlexGate-Key $client;
                 {}
               }}
             }}",
            folder.display(),
            upstream(backend),
            forwarding(backend),
        );
        Self {
            running: NginxProcess::start(&folder, &server, port),
            port,
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Master and workers.
    pub fn pids(&self) -> Vec<u32> {
        self.running.pids()
    }
}

/// The backend, over connections that stay.
fn upstream(backend: u16) -> String {
    format!(
        "keepalive_requests 100000000;
         upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 100000000; }}"
    )
}

/// What FlexGate does to each request, too.
fn forwarding(backend: u16) -> String {
    format!(
        "proxy_pass http://backend;
         proxy_http_version 1.1;
         proxy_buffering off;
         proxy_set_header Connection '';
         proxy_set_header Host 127.0.0.1:{backend};
         proxy_set_header Via '1.1 nginx';
         proxy_set_header X-Forwarded-For $remote_addr;
         proxy_set_header X-Forwarded-Proto $scheme;
         proxy_set_header X-Forwarded-Host $http_host;
         proxy_set_header X-Forwarded-Port $server_port;
         proxy_set_header X-Correlation-ID $request_id;
         proxy_set_header traceparent '00-$request_id-00f067aa0ba902b7-01';
         add_header X-Correlation-ID $request_id;"
    )
}

impl Nginx {
    /// Starts it in front of the backend.
    pub fn start(folder: &Path, backend: u16) -> Self {
        let ports = Ports {
            http1: free_port(),
            http2: free_port(),
            tls: free_port(),
        };
        let Certificate { certificate, key } = Certificate::make(folder);
        let server = format!(
            "access_log off; ssl_certificate {}; ssl_certificate_key {};
             {}
             server {{
               listen 127.0.0.1:{} reuseport;
               listen 127.0.0.1:{} reuseport http2;
               listen 127.0.0.1:{} reuseport ssl;
               location / {{ {} }}
             }}",
            certificate.display(),
            key.display(),
            upstream(backend),
            ports.http1,
            ports.http2,
            ports.tls,
            forwarding(backend),
        );
        Self {
            running: NginxProcess::start(&folder.join("nginx"), &server, ports.http1),
            ports,
        }
    }

    /// Where it listens.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Master and workers.
    pub fn pids(&self) -> Vec<u32> {
        self.running.pids()
    }
}

struct NginxProcess {
    child: Running,
}

impl NginxProcess {
    fn start(folder: &Path, server: &str, port: u16) -> Self {
        fs::create_dir_all(folder).unwrap();
        let conf = folder.join("nginx.conf");
        let text = format!(
            "daemon off; worker_processes {WORKERS}; pid {0}/pid; error_log {0}/error.log;
             events {{ worker_connections 4096; }}
             http {{
               client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/f;
               uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;
               {server}
             }}",
            folder.display()
        );
        fs::write(&conf, text).unwrap();
        let child = Command::new("sh")
            .args(["-c", "PATH=$PATH:/usr/sbin exec nginx -c \"$0\" -e \"$1\""])
            .args([&conf, &folder.join("error.log")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let child = Running(child);
        wait_for(port);
        Self { child }
    }

    /// Master and workers. The master listens before it has any.
    fn pids(&self) -> Vec<u32> {
        let master = self.child.0.id();
        let until = Instant::now() + PATIENCE;
        loop {
            let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).unwrap();
            let workers: Vec<u32> = children
                .split_whitespace()
                .map(|pid| pid.parse().unwrap())
                .collect();
            if workers.len() == WORKERS {
                return [vec![master], workers].concat();
            }
            assert!(Instant::now() < until, "nginx has {} workers", workers.len());
            thread::yield_now();
        }
    }
}

impl Drop for NginxProcess {
    fn drop(&mut self) {
        // The master takes its workers with it only when it is asked.
        let pid = self.child.0.id().to_string();
        let _asked = Command::new("kill").args(["-TERM", &pid]).status();
        let _reaped = self.child.0.wait();
    }
}
