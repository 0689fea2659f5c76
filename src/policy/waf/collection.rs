//! The variables that rules name: which there are, and which of them hold the values of others.

/// A variable of the rule language, by its name there.
///
/// Those up to [`Collection::ResponseBody`] hold values of the message, which stand in
/// [`Values`](crate::policy::waf::values::Values); the rest is made of them or of the state of
/// the evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Collection {
    ArgsGet,
    ArgsGetNames,
    ArgsPost,
    ArgsPostNames,
    RequestHeaders,
    RequestHeadersNames,
    RequestCookies,
    RequestCookiesNames,
    RequestLine,
    RequestMethod,
    RequestProtocol,
    RequestUri,
    RequestUriRaw,
    RequestFilename,
    RequestBasename,
    QueryString,
    RequestBody,
    /// A body of no known structure, or one that breaks the rules of its kind.
    RequestText,
    Files,
    FilesNames,
    FilesSizes,
    MultipartPartHeaders,
    XmlText,
    XmlAttributes,
    RemoteAddr,
    RemotePort,
    ServerAddr,
    ServerName,
    ServerPort,
    UniqueId,
    ReqbodyProcessor,
    ReqbodyError,
    ReqbodyErrorMsg,
    MultipartStrictError,
    MultipartUnmatchedBoundary,
    UrlencodedError,
    InboundDataError,
    ResponseStatus,
    ResponseProtocol,
    ResponseHeaders,
    ResponseHeadersNames,
    ResponseContentType,
    ResponseContentLength,
    OutboundDataError,
    ResponseBody,

    Args,
    ArgsNames,
    ArgsCombinedSize,
    FilesCombinedSize,
    RequestBodyLength,
    Tx,
    MatchedVar,
    MatchedVarName,
    MatchedVars,
    MatchedVarsNames,
    HighestSeverity,
    Rule,
}

use Collection::{
    Args, ArgsCombinedSize, ArgsGet, ArgsGetNames, ArgsNames, ArgsPost, ArgsPostNames, Files,
    FilesCombinedSize, FilesNames, FilesSizes, HighestSeverity, InboundDataError, MatchedVar,
    MatchedVarName, MatchedVars, MatchedVarsNames, MultipartPartHeaders, MultipartStrictError,
    MultipartUnmatchedBoundary, OutboundDataError, QueryString, RemoteAddr, RemotePort,
    ReqbodyError, ReqbodyErrorMsg, ReqbodyProcessor, RequestBasename, RequestBody,
    RequestBodyLength, RequestCookies, RequestCookiesNames, RequestFilename, RequestHeaders,
    RequestHeadersNames, RequestLine, RequestMethod, RequestProtocol, RequestText, RequestUri,
    RequestUriRaw, ResponseBody, ResponseContentLength, ResponseContentType, ResponseHeaders,
    ResponseHeadersNames, ResponseProtocol, ResponseStatus, Rule, ServerAddr, ServerName,
    ServerPort, Tx, UniqueId, UrlencodedError, XmlAttributes, XmlText,
};

const NAMES: &[(Collection, &str)] = &[
    (ArgsGet, "ARGS_GET"),
    (ArgsGetNames, "ARGS_GET_NAMES"),
    (ArgsPost, "ARGS_POST"),
    (ArgsPostNames, "ARGS_POST_NAMES"),
    (RequestHeaders, "REQUEST_HEADERS"),
    (RequestHeadersNames, "REQUEST_HEADERS_NAMES"),
    (RequestCookies, "REQUEST_COOKIES"),
    (RequestCookiesNames, "REQUEST_COOKIES_NAMES"),
    (RequestLine, "REQUEST_LINE"),
    (RequestMethod, "REQUEST_METHOD"),
    (RequestProtocol, "REQUEST_PROTOCOL"),
    (RequestUri, "REQUEST_URI"),
    (RequestUriRaw, "REQUEST_URI_RAW"),
    (RequestFilename, "REQUEST_FILENAME"),
    (RequestBasename, "REQUEST_BASENAME"),
    (QueryString, "QUERY_STRING"),
    (RequestBody, "REQUEST_BODY"),
    (RequestText, "REQUEST_TEXT"),
    (Files, "FILES"),
    (FilesNames, "FILES_NAMES"),
    (FilesSizes, "FILES_SIZES"),
    (MultipartPartHeaders, "MULTIPART_PART_HEADERS"),
    (XmlText, "XML:/*"),
    (XmlAttributes, "XML://@*"),
    (RemoteAddr, "REMOTE_ADDR"),
    (RemotePort, "REMOTE_PORT"),
    (ServerAddr, "SERVER_ADDR"),
    (ServerName, "SERVER_NAME"),
    (ServerPort, "SERVER_PORT"),
    (UniqueId, "UNIQUE_ID"),
    (ReqbodyProcessor, "REQBODY_PROCESSOR"),
    (ReqbodyError, "REQBODY_ERROR"),
    (ReqbodyErrorMsg, "REQBODY_ERROR_MSG"),
    (MultipartStrictError, "MULTIPART_STRICT_ERROR"),
    (MultipartUnmatchedBoundary, "MULTIPART_UNMATCHED_BOUNDARY"),
    (UrlencodedError, "URLENCODED_ERROR"),
    (InboundDataError, "INBOUND_DATA_ERROR"),
    (ResponseStatus, "RESPONSE_STATUS"),
    (ResponseProtocol, "RESPONSE_PROTOCOL"),
    (ResponseHeaders, "RESPONSE_HEADERS"),
    (ResponseHeadersNames, "RESPONSE_HEADERS_NAMES"),
    (ResponseContentType, "RESPONSE_CONTENT_TYPE"),
    (ResponseContentLength, "RESPONSE_CONTENT_LENGTH"),
    (OutboundDataError, "OUTBOUND_DATA_ERROR"),
    (ResponseBody, "RESPONSE_BODY"),
    (Args, "ARGS"),
    (ArgsNames, "ARGS_NAMES"),
    (ArgsCombinedSize, "ARGS_COMBINED_SIZE"),
    (FilesCombinedSize, "FILES_COMBINED_SIZE"),
    (RequestBodyLength, "REQUEST_BODY_LENGTH"),
    (Tx, "TX"),
    (MatchedVar, "MATCHED_VAR"),
    (MatchedVarName, "MATCHED_VAR_NAME"),
    (MatchedVars, "MATCHED_VARS"),
    (MatchedVarsNames, "MATCHED_VARS_NAMES"),
    (HighestSeverity, "HIGHEST_SEVERITY"),
    (Rule, "RULE"),
];

/// How many collections hold values of the message.
pub const STORED: usize = ResponseBody as usize + 1;

impl Collection {
    /// Names are the same in any case. `XML` has no name of its own: its path is part of it.
    pub fn named(name: &str) -> Option<Collection> {
        let named = NAMES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name));
        named.map(|&(collection, _)| collection)
    }

    pub fn name(self) -> &'static str {
        let named = NAMES.iter().find(|(collection, _)| *collection == self);
        named.map_or("", |(_, name)| name)
    }

    /// The collections whose values this one shows; none if it is made by the evaluation.
    pub fn parts(self) -> &'static [Collection] {
        match self {
            Args => &[ArgsGet, ArgsPost],
            ArgsNames => &[ArgsGetNames, ArgsPostNames],
            ArgsCombinedSize | FilesCombinedSize | RequestBodyLength | Tx | MatchedVar
            | MatchedVarName | MatchedVars | MatchedVarsNames | HighestSeverity | Rule => &[],
            _ => {
                let at = STORED_LIST.iter().position(|&stored| stored == self);
                at.map_or(&[], |at| &STORED_LIST[at..=at])
            }
        }
    }

    /// Whether the values of `part` are also values of this collection.
    pub fn covers(self, part: Collection) -> bool {
        self == part
            || match self {
                Args => matches!(part, ArgsGet | ArgsPost),
                ArgsNames => matches!(part, ArgsGetNames | ArgsPostNames),
                _ => false,
            }
    }

    /// Whether its values have names of their own, so that one can be selected.
    pub fn is_keyed(self) -> bool {
        matches!(
            self,
            Args | ArgsNames
                | ArgsGet
                | ArgsGetNames
                | ArgsPost
                | ArgsPostNames
                | RequestHeaders
                | RequestHeadersNames
                | RequestCookies
                | RequestCookiesNames
                | ResponseHeaders
                | ResponseHeadersNames
                | Files
                | FilesNames
                | FilesSizes
                | MultipartPartHeaders
                | Tx
                | MatchedVars
                | MatchedVarsNames
                | Rule
        )
    }

    /// Whether its values are known before the response is there.
    pub fn is_of_request(self) -> bool {
        (self as usize) < ResponseStatus as usize
    }

    /// Whether its values are known before the body of the request is read.
    pub fn is_of_head(self) -> bool {
        !matches!(
            self,
            ArgsPost
                | ArgsPostNames
                | RequestBody
                | RequestText
                | Files
                | FilesNames
                | FilesSizes
                | MultipartPartHeaders
                | XmlText
                | XmlAttributes
                | ReqbodyError
                | ReqbodyErrorMsg
                | MultipartStrictError
                | MultipartUnmatchedBoundary
        ) && self.is_of_request()
    }
}

/// The stored collections in the order of their numbers.
pub const STORED_LIST: [Collection; STORED] = [
    ArgsGet,
    ArgsGetNames,
    ArgsPost,
    ArgsPostNames,
    RequestHeaders,
    RequestHeadersNames,
    RequestCookies,
    RequestCookiesNames,
    RequestLine,
    RequestMethod,
    RequestProtocol,
    RequestUri,
    RequestUriRaw,
    RequestFilename,
    RequestBasename,
    QueryString,
    RequestBody,
    RequestText,
    Files,
    FilesNames,
    FilesSizes,
    MultipartPartHeaders,
    XmlText,
    XmlAttributes,
    RemoteAddr,
    RemotePort,
    ServerAddr,
    ServerName,
    ServerPort,
    UniqueId,
    ReqbodyProcessor,
    ReqbodyError,
    ReqbodyErrorMsg,
    MultipartStrictError,
    MultipartUnmatchedBoundary,
    UrlencodedError,
    InboundDataError,
    ResponseStatus,
    ResponseProtocol,
    ResponseHeaders,
    ResponseHeadersNames,
    ResponseContentType,
    ResponseContentLength,
    OutboundDataError,
    ResponseBody,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collection_has_one_name_and_stored_ones_are_in_order() {
        for &(collection, name) in NAMES {
            assert_eq!(Collection::named(&name.to_lowercase()), Some(collection));
            assert_eq!(collection.name(), name);
            for part in collection.parts() {
                assert!(collection.covers(*part));
            }
        }
        for (at, collection) in STORED_LIST.into_iter().enumerate() {
            assert_eq!(collection as usize, at);
            assert_eq!(collection.parts(), [collection]);
        }
    }
}
