//! What rules of the WAF do not see of answers, for `check`.

use crate::policy::catalogue::Operation;
use crate::policy::denial::Denial;
use crate::policy::snapshot::Snapshot;
use crate::policy::waf::outbound::{Outbound, Reach};
use crate::policy::waf::stage::{Named, Protection};

/// Lines about each rule set that has rules for answers.
pub fn describe(snapshot: &Snapshot) -> String {
    let sets = snapshot.waf.iter().enumerate();
    sets.map(|(index, set)| of_set(snapshot, index, set))
        .collect()
}

fn of_set(snapshot: &Snapshot, index: usize, set: &Named) -> String {
    let count = set.rules.for_answers();
    let operations = snapshot.catalogue.operations().iter();
    let inspected = operations.filter_map(|operation| {
        let protection = operation.waf.as_ref()?;
        (protection.set == index).then_some((operation, protection))
    });
    if count == 0 {
        return String::new();
    }
    let (mut lines, mut off) = (String::new(), 0);
    for (operation, protection) in inspected {
        let Some(outbound) = &protection.outbound else {
            off += 1;
            continue;
        };
        for what in unseen(operation, protection, outbound) {
            lines.push_str(&format!("  {} {}: {what}\n", operation.api, operation.id));
        }
    }
    if off > 0 {
        lines.push_str(&format!(
            "  any answer of {off} operations; waf_responses = \"collected\" or \"all\" has them looked at\n"
        ));
    }
    match lines.is_empty() {
        true => String::new(),
        false => format!(
            "[waf.{}] has {count} rules for answers, which do not see:\n{lines}",
            set.name
        ),
    }
}

fn unseen(operation: &Operation, protection: &Protection, outbound: &Outbound) -> Vec<String> {
    let mut found = Vec::new();
    let is_collected = match outbound.reach {
        Reach::Heads => false,
        Reach::Collected => operation.response.is_some(),
        Reach::All => true,
    };
    if operation.websocket.is_some() {
        found.push("what follows a switch to WebSocket".to_owned());
    }
    if !is_collected {
        found.push("bodies, which nobody collects".to_owned());
        return found;
    }
    if let Some(types) = &outbound.types {
        let types = match types.is_empty() {
            true => "any type".to_owned(),
            false => format!("other types than {}", types.join(", ")),
        };
        found.push(format!("bodies of {types}"));
    }
    let denial = Denial::ResponseTooLarge;
    if outbound.refuses(&protection.tuning, denial).is_none() {
        found.push(format!(
            "what stands behind {} bytes, or in a coding other than gzip and deflate",
            outbound.longest
        ));
    }
    found
}
