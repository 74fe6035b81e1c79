//! A test origin that records its requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<(String, String)>>,
    released: Mutex<bool>,
    release: Condvar,
}

pub(super) struct Origin {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
}

impl Origin {
    /// Serves until the process ends. `/hang` gets no response, `/wait` gets one after
    /// [`Origin::release`], `/ws` becomes an echo.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &seen));
            }
        });
        Self { address, seen }
    }

    pub(super) fn release(&self) {
        *self.seen.released.lock() = true;
        self.seen.release.notify_all();
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.seen.asked.lock().iter().map(|(head, _)| head.clone()).collect()
    }

    pub(super) fn bodies(&self) -> Vec<String> {
        self.seen.asked.lock().iter().map(|(_, body)| body.clone()).collect()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        let path = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.heads().iter().map(path).collect()
    }
}

fn serve(stream: TcpStream, seen: &Seen) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = read_request(&mut reader) {
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        seen.asked.lock().push((head, body));
        match path.as_str() {
            "/hang" => {
                // Until the peer closes.
                let _ = reader.read(&mut [0; 1]);
                return;
            }
            "/wait" => {
                let mut released = seen.released.lock();
                while !*released {
                    seen.release.wait(&mut released);
                }
            }
            "/ws" => return echo(reader, writer),
            _ => {}
        }
        if writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

fn echo(mut reader: BufReader<TcpStream>, mut writer: TcpStream) {
    assert!(reader.buffer().is_empty(), "nothing comes before we agreed");
    let agreed =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let _ = writer.write_all(agreed);
    let mut room = [0; 512];
    while let Ok(n) = reader.read(&mut room) {
        if n == 0 || writer.write_all(&room[..n]).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if let Some(length) = lower.split("content-length: ").nth(1) {
        let length = length.split("\r\n").next()?.parse::<u64>().ok()?;
        reader.take(length).read_to_end(&mut body).ok()?;
    } else if lower.contains("transfer-encoding: chunked") {
        read_chunks(reader, &mut body)?;
    }
    Some((head, String::from_utf8(body).ok()?))
}

fn read_chunks(reader: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let size = u64::from_str_radix(line.trim(), 16).ok()?;
        reader.take(size).read_to_end(body).ok()?;
        let mut end = String::new();
        reader.read_line(&mut end).ok()?;
        if size == 0 {
            return Some(());
        }
    }
}
