//! A body to its values, as its processor reads it.

use crate::policy::waf::collection::Collection;
use crate::policy::waf::gather::Gather;
use crate::policy::waf::message::Processor;
use crate::policy::waf::state::State;

/// Reads a body that is there as a whole.
pub fn read(state: &mut State, used: u64, body: &[u8]) {
    let mut gather = Gather {
        values: &mut state.values,
        used,
    };
    let is_raw = match state.processor {
        Processor::Form => {
            gather.arguments(body, Collection::ArgsPost, Collection::ArgsPostNames);
            true
        }
        Processor::Multipart | Processor::Json | Processor::Xml => false,
        Processor::None => state.force_body,
    };
    if is_raw {
        gather.single(Collection::RequestBody, body);
    }
}
