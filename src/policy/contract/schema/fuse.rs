//! Alternatives that one member tells apart become a jump.

use super::program::{Program, Rule, RuleId, Switch, types};

/// Gives each `oneOf` or `anyOf` a switch where every alternative is an object that requires the
/// same member with texts of its own: no two can hold, and no other can.
pub fn alternatives(program: &mut Program) {
    for id in 0..program.rules.len() {
        let found = switch(&program.rules, id);
        let branches = program.rules[id].branches.as_mut();
        if let (Some(found), Some(branches)) = (found, branches) {
            branches.switch = Some(found);
        }
    }
}

fn switch(rules: &[Rule], id: RuleId) -> Option<Switch> {
    let branches = rules[id].branches.as_ref()?;
    let (keyword, list) = match (&branches.any_of, &branches.one_of) {
        (any_of, one_of) if one_of.is_empty() => ("anyOf", any_of),
        (any_of, one_of) if any_of.is_empty() => ("oneOf", one_of),
        _ => return None,
    };
    if branches.switch.is_some() || list.len() < 2 {
        return None;
    }
    let first = rules[list[0]].object.as_ref()?;
    first.members.list.iter().find_map(|member| {
        let mut cases: Vec<(Box<str>, RuleId)> = Vec::new();
        for &alternative in list {
            for text in texts(rules, alternative, &member.name)? {
                if cases.iter().any(|(other, _)| other == text) {
                    return None;
                }
                cases.push((text.clone(), alternative));
            }
        }
        Some(Switch {
            member: member.name.clone(),
            keyword,
            cases: cases.into(),
        })
    })
}

/// The texts that a required member of an object must have one of.
fn texts<'r>(rules: &'r [Rule], id: RuleId, member: &str) -> Option<&'r [Box<str>]> {
    let rule = &rules[id];
    let members = &rule.object.as_ref()?.members;
    let member = &members.list[members.named(member)?];
    match &rules[member.rule?].values[..] {
        [values] if rule.types == types::OBJECT && member.is_required => {
            values.others.is_empty().then_some(&values.texts)
        }
        _ => None,
    }
}
