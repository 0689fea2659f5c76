//! What the configuration says of WebSockets, to an operation.

use std::time::Duration;

use crate::config::file;
use crate::config::reader::Reader;
use crate::policy::catalogue::WebSocket;

const MINUTE: Duration = Duration::from_secs(60);

/// What holds where nothing else is said.
const DEFAULT: WebSocket = WebSocket {
    idle: MINUTE.saturating_mul(5),
    time: MINUTE.saturating_mul(24 * 60),
    message: 16 << 20,
};

pub fn compile(reader: &Reader<'_>, declared: &file::WebSocket, method: &str) -> Option<WebSocket> {
    let (idle, time) = (declared.idle_timeout.as_ref(), declared.max_time.as_ref());
    let message = declared.max_message.as_ref();
    let Some(wanted) = declared.is_wanted.as_ref().filter(|wanted| wanted.value) else {
        for (key, position) in [
            ("websocket_idle_timeout", idle.map(|at| at.position)),
            ("websocket_max_time", time.map(|at| at.position)),
            ("websocket_max_message", message.map(|at| at.position)),
        ] {
            if let Some(position) = position {
                let hint = "write websocket = true with it";
                reader.error(position, format!("`{key}` is not used"), hint);
            }
        }
        return None;
    };
    if method != "GET" {
        let message = "only a GET can become a WebSocket (RFC 6455)";
        reader.error(wanted.position, message, "leave `websocket` out here");
    }
    if let Some(message) = message.filter(|message| message.value.0 == 0) {
        let hint = "write websocket_max_message = \"64KiB\"";
        reader.error(message.position, "no message is that short", hint);
    }
    Some(WebSocket {
        idle: idle.map_or(DEFAULT.idle, |at| at.value),
        time: time.map_or(DEFAULT.time, |at| at.value),
        message: message.map_or(DEFAULT.message, |at| at.value.0 as u64),
    })
}
