//! Which rule of the protocol the peer broke. Framing is in doubt after any of them: the answer
//! is final and the connection is closed behind it.

use std::fmt;

/// One broken rule of RFC 9110 or RFC 9112.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    // The head as a whole.
    BareLineFeed,
    BareCarriageReturn,
    HeadTooLarge,
    RequestLineTooLong,
    TooManyFields,
    MalformedRequestLine,
    MalformedStatusLine,
    MalformedField,
    UnsupportedVersion,

    // Request target and host.
    MissingHost,
    RepeatedHost,
    MalformedHost,
    HostDisagrees,
    UnsupportedTarget,
    MalformedTarget,
    AmbiguousPath,
    PathTooDeep,

    // Framing.
    RepeatedLength,
    MalformedLength,
    LengthWithTransferCoding,
    UnknownTransferCoding,
    TransferCodingInHttp10,
    MalformedChunk,
    ChunkTooLarge,
    TrailersTooLarge,

    // Expectations and upgrades.
    UnknownExpectation,
    MalformedUpgrade,
    UpgradeToHttp2,
}

impl Error {
    /// Every rule, for the metrics.
    pub const ALL: [Error; 28] = [
        Error::BareLineFeed,
        Error::BareCarriageReturn,
        Error::HeadTooLarge,
        Error::RequestLineTooLong,
        Error::TooManyFields,
        Error::MalformedRequestLine,
        Error::MalformedStatusLine,
        Error::MalformedField,
        Error::UnsupportedVersion,
        Error::MissingHost,
        Error::RepeatedHost,
        Error::MalformedHost,
        Error::HostDisagrees,
        Error::UnsupportedTarget,
        Error::MalformedTarget,
        Error::AmbiguousPath,
        Error::PathTooDeep,
        Error::RepeatedLength,
        Error::MalformedLength,
        Error::LengthWithTransferCoding,
        Error::UnknownTransferCoding,
        Error::TransferCodingInHttp10,
        Error::MalformedChunk,
        Error::ChunkTooLarge,
        Error::TrailersTooLarge,
        Error::UnknownExpectation,
        Error::MalformedUpgrade,
        Error::UpgradeToHttp2,
    ];

    /// The status that a client gets for having sent this (RFC 9110 section 15).
    pub fn status(self) -> u16 {
        match self {
            Error::HeadTooLarge | Error::TooManyFields => 431,
            Error::RequestLineTooLong => 414,
            Error::UnsupportedVersion | Error::UpgradeToHttp2 => 505,
            Error::UnknownExpectation => 417,
            Error::BareLineFeed
            | Error::BareCarriageReturn
            | Error::MalformedRequestLine
            | Error::MalformedStatusLine
            | Error::MalformedField
            | Error::MissingHost
            | Error::RepeatedHost
            | Error::MalformedHost
            | Error::HostDisagrees
            | Error::UnsupportedTarget
            | Error::MalformedTarget
            | Error::AmbiguousPath
            | Error::PathTooDeep
            | Error::RepeatedLength
            | Error::MalformedLength
            | Error::LengthWithTransferCoding
            | Error::UnknownTransferCoding
            | Error::TransferCodingInHttp10
            | Error::MalformedChunk
            | Error::ChunkTooLarge
            | Error::TrailersTooLarge
            | Error::MalformedUpgrade => 400,
        }
    }

    /// A short stable name, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Error::BareLineFeed => "bare-line-feed",
            Error::BareCarriageReturn => "bare-carriage-return",
            Error::HeadTooLarge => "head-too-large",
            Error::RequestLineTooLong => "request-line-too-long",
            Error::TooManyFields => "too-many-fields",
            Error::MalformedRequestLine => "malformed-request-line",
            Error::MalformedStatusLine => "malformed-status-line",
            Error::MalformedField => "malformed-field",
            Error::UnsupportedVersion => "unsupported-version",
            Error::MissingHost => "missing-host",
            Error::RepeatedHost => "repeated-host",
            Error::MalformedHost => "malformed-host",
            Error::HostDisagrees => "host-disagrees",
            Error::UnsupportedTarget => "unsupported-target",
            Error::MalformedTarget => "malformed-target",
            Error::AmbiguousPath => "ambiguous-path",
            Error::PathTooDeep => "path-too-deep",
            Error::RepeatedLength => "repeated-length",
            Error::MalformedLength => "malformed-length",
            Error::LengthWithTransferCoding => "length-with-transfer-coding",
            Error::UnknownTransferCoding => "unknown-transfer-coding",
            Error::TransferCodingInHttp10 => "transfer-coding-in-http10",
            Error::MalformedChunk => "malformed-chunk",
            Error::ChunkTooLarge => "chunk-too-large",
            Error::TrailersTooLarge => "trailers-too-large",
            Error::UnknownExpectation => "unknown-expectation",
            Error::MalformedUpgrade => "malformed-upgrade",
            Error::UpgradeToHttp2 => "upgrade-to-http2",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Error::BareLineFeed => "a line ends with LF alone",
            Error::BareCarriageReturn => "CR without LF",
            Error::HeadTooLarge => "the head is too large",
            Error::RequestLineTooLong => "the request line is too long",
            Error::TooManyFields => "too many fields",
            Error::MalformedRequestLine => "the request line is malformed",
            Error::MalformedStatusLine => "the status line is malformed",
            Error::MalformedField => "a field line is malformed",
            Error::UnsupportedVersion => "only HTTP/1.1 and HTTP/1.0 are spoken here",
            Error::MissingHost => "Host is missing",
            Error::RepeatedHost => "Host is repeated",
            Error::MalformedHost => "Host is malformed",
            Error::HostDisagrees => "Host and the request target disagree",
            Error::UnsupportedTarget => "this form of request target is not served",
            Error::MalformedTarget => "the request target is malformed",
            Error::AmbiguousPath => "the path can be read in more than one way",
            Error::PathTooDeep => "the path has too many segments",
            Error::RepeatedLength => "Content-Length is repeated",
            Error::MalformedLength => "Content-Length is not a decimal number",
            Error::LengthWithTransferCoding => "Content-Length beside Transfer-Encoding",
            Error::UnknownTransferCoding => "the transfer coding is not exactly chunked",
            Error::TransferCodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
            Error::MalformedChunk => "a chunk is malformed",
            Error::ChunkTooLarge => "a chunk size or its line is too large",
            Error::TrailersTooLarge => "the trailer section is too large",
            Error::UnknownExpectation => "an expectation other than 100-continue",
            Error::MalformedUpgrade => "the WebSocket handshake is malformed",
            Error::UpgradeToHttp2 => "a wish to go on in HTTP/2 (h2c)",
        })
    }
}

impl std::error::Error for Error {}
