"""What Python's h2 library thinks of Seawall's HTTP/2, by hand and not in CI.

    pip install h2
    python3 h2_client.py 127.0.0.1:8443 a.example

Behind Seawall stands `seawall-attack origin`, which answers everything, reads bodies, and knows
/__large/BYTES and /__slow/MS. One line for each check; exit code 1 where one failed.
"""

import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events as events
import h2.exceptions
import hpack

WAIT_S = 10
REQUESTS_MAX = 1_200
GOAWAY_HEAD = b"\0\0\x08\x07\0\0\0\0\0"
failures = 0


def check(name, is_so, seen=""):
    global failures
    failures += not is_so
    print("ok  " if is_so else "FAIL", name, seen)


class Client:
    """One connection over TLS, with what has come on it."""

    def __init__(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection((ADDRESS, PORT))
        self.socket = context.wrap_socket(plain, server_hostname=HOST)
        assert self.socket.selected_alpn_protocol() == "h2"
        self.socket.settimeout(WAIT_S)
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.status, self.bytes, self.resets, self.ended = {}, {}, {}, set()
        self.goaway = self.settings = None
        self.ponged = self.acknowledged = self.closed = False
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def receive(self):
        try:
            return self.socket.recv(65_535)
        except (ConnectionResetError, TimeoutError):
            return b""

    def pump(self):
        data = self.receive()
        self.closed = not data
        at = data.find(GOAWAY_HEAD)
        if at >= 0:
            self.goaway = int.from_bytes(data[at + 13 : at + 17], "big")
        try:
            came = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            # The library takes GOAWAY for the end of all, and the PING behind it (RFC 9113 §6.8)
            # for a mistake.
            assert self.goaway is not None
            self.closed = True
            return
        for event in came:
            self.note(event)
        self.flush()

    def note(self, event):
        if isinstance(event, events.ResponseReceived):
            self.status[event.stream_id] = dict(event.headers)[":status"]
        elif isinstance(event, events.DataReceived):
            so_far = self.bytes.get(event.stream_id, 0)
            self.bytes[event.stream_id] = so_far + len(event.data)
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            self.ended.add(event.stream_id)
        elif isinstance(event, events.StreamReset):
            self.resets[event.stream_id] = int(event.error_code)
            self.ended.add(event.stream_id)
        elif isinstance(event, events.PingAckReceived):
            self.ponged = True
        elif isinstance(event, events.SettingsAcknowledged):
            self.acknowledged = True
        elif isinstance(event, events.RemoteSettingsChanged):
            self.settings = event.changed_settings

    def until(self, is_so):
        while not is_so() and not self.closed:
            self.pump()
        return is_so()

    def send(self, stream, path="/", method="GET", fields=(), ends=True):
        head = [(":method", method), (":scheme", "https"), (":authority", HOST), (":path", path)]
        self.h2.send_headers(stream, [*head, *fields], end_stream=ends)
        self.flush()

    def is_served(self, *streams):
        served = lambda: set(streams) <= self.ended
        return self.until(served) and all(self.status.get(s) == "200" for s in streams)

    def upload(self, stream, size, fields=(), trailers=None):
        self.send(stream, "/up", "POST", fields, ends=False)
        left = size
        while left and not self.closed and stream not in self.ended:
            window = self.h2.local_flow_control_window(stream)
            now = min(window, left, self.h2.max_outbound_frame_size)
            if now <= 0:
                self.pump()
                continue
            left -= now
            self.h2.send_data(stream, b"x" * now, end_stream=not left and not trailers)
            self.flush()
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
            self.flush()
        return self.is_served(stream)


def plain():
    client = Client()
    client.send(1)
    check("a request", client.is_served(1))
    check("SETTINGS are acknowledged", client.until(lambda: client.acknowledged))
    client.h2.ping(b"12345678")
    client.flush()
    check("PING is answered", client.until(lambda: client.ponged))
    client.send(3, method="HEAD")
    check("an answer to HEAD has no body", client.is_served(3) and not client.bytes.get(3))
    check("5 MB up, with a length", client.upload(5, 5_000_000, [("content-length", "5000000")]))
    check("1 MB up, without one", client.upload(7, 1_000_000))
    check("100 KB up, with trailers", client.upload(9, 100_000, (), [("x-digest", "abc")]))
    client.send(11, "/__large/3000000")
    check("3 MB down", client.is_served(11) and client.bytes[11] == 3_000_000)


def streams():
    client = Client()
    client.until(lambda: client.settings)
    most = client.h2.remote_settings.max_concurrent_streams
    hundred = range(1, 200, 2)
    for stream in hundred:
        client.until(lambda: client.h2.open_outbound_streams < most)
        client.send(stream, "/__slow/50")
    check("100 requests, as many at once as are allowed", client.is_served(*hundred), most)
    client = Client()
    client.until(lambda: client.settings)
    # The library would keep to the limit by itself.
    client.h2.remote_settings[3] = 1_000
    client.h2.remote_settings.acknowledge()
    last = 2 * most + 1
    streams = range(1, last + 1, 2)
    for stream in streams:
        client.send(stream, "/__slow/300")
    client.until(lambda: set(streams) <= client.ended)
    served = sum(status == "200" for status in client.status.values())
    check("one more is refused", (served, client.resets) == (most, {last: 7}), client.resets)
    client = Client()
    client.send(1, "/__slow/500")
    client.h2.reset_stream(1, 8)
    client.send(3)
    check("one taken back leaves the others", client.is_served(3))


def endings():
    client, served = Client(), 0
    for stream in range(1, 2 * REQUESTS_MAX, 2):
        client.send(stream)
        client.until(lambda: stream in client.ended or client.goaway is not None)
        served += stream in client.ended
        if client.goaway is not None or client.closed:
            break
    check("GOAWAY, with no error, after so many requests", client.goaway == 0, served)
    client = Client()
    client.send(1, "/__slow/300")
    client.socket.sendall(GOAWAY_HEAD + bytes(8))
    check("what is under way when the client leaves is answered", client.is_served(1))


def frame(kind, flags, stream, payload=b""):
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def refused(name, sent):
    """What is no HTTP/2 is answered with an error. Read by hand: the library has not sent it."""
    client, held, seen = Client(), b"", []
    client.until(lambda: client.acknowledged)
    client.socket.sendall(sent)
    while not seen:
        data = client.receive()
        held += data
        while len(held) >= 9 and len(held) >= 9 + int.from_bytes(held[:3], "big"):
            length, kind = int.from_bytes(held[:3], "big"), held[3]
            payload, held = held[9 : 9 + length], held[9 + length :]
            if kind == 1:
                seen.append(("status", dict(hpack.Decoder().decode(payload))[":status"]))
            elif kind == 3:
                seen.append(("RST_STREAM", int.from_bytes(payload, "big")))
            elif kind == 7:
                seen.append(("GOAWAY", int.from_bytes(payload[4:8], "big")))
        if not data:
            break
    check(name, not seen or seen[0] != ("status", "200"), seen or "closed")


def mistakes():
    name = HOST.encode()
    get = b"\x82\x87\x84\x41" + bytes([len(name)]) + name
    post = b"\x83" + get[1:]
    refused("DATA on stream 0", frame(0, 0, 0, b"x"))
    refused("HEADERS on an even stream", frame(1, 5, 2, get))
    refused("a frame larger than SETTINGS allow", frame(0, 0, 1, b"x" * 16_385))
    refused("a name in upper case", frame(1, 5, 1, get + b"\x40\x01X\x01y"))
    refused("Connection", frame(1, 5, 1, get + b"\x40\x0aconnection\x05close"))
    refused("two :path", frame(1, 5, 1, get + b"\x84"))
    refused("no :path", frame(1, 5, 1, get[:2] + get[3:]))
    short = frame(1, 4, 1, post + b"\x5c\x015") + frame(0, 1, 1, b"four")
    refused("DATA of 4 bytes where 5 were announced", short)
    refused("PING of 7 bytes", frame(6, 0, 0, b"1234567"))
    refused("WINDOW_UPDATE of 0", frame(8, 0, 0, bytes(4)))
    refused("PUSH_PROMISE from a client", frame(5, 4, 1, bytes([0, 0, 0, 2]) + get))


if __name__ == "__main__":
    ADDRESS, PORT = sys.argv[1].rsplit(":", 1)
    HOST = sys.argv[2]
    for part in [plain, streams, endings, mistakes]:
        part()
    sys.exit(failures > 0)
