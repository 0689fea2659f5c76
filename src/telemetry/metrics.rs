//! Counters of all shards and their text for Prometheus (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;

use crate::policy::denial::{Denial, Stage};
use crate::policy::snapshot::Snapshot;
use crate::policy::waf::budget::{Bound, Exceeded};
use crate::telemetry::counter::{BOUNDS_NS, Counter, Histogram};

/// How a request ended, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Forwarded,
    Denied,
    Failed,
}

/// What a shard is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Starting,
    Accepting,
    Draining,
    Stopped,
}

/// Requests of one operation on one shard.
#[derive(Debug, Default)]
pub struct OperationMetrics {
    forwarded: Counter,
    denied: Counter,
    failed: Counter,
}

impl OperationMetrics {
    pub fn count(&self, decision: Decision) {
        match decision {
            Decision::Forwarded => self.forwarded.add(1),
            Decision::Denied => self.denied.add(1),
            Decision::Failed => self.failed.add(1),
        }
    }
}

/// Connections of one shard to one upstream.
#[derive(Debug, Default)]
pub struct PoolMetrics {
    pub opened: Counter,
    pub reused: Counter,
    pub failed: Counter,
    pub idle: Counter,
    pub retried: Counter,
    pub ejected: Counter,
    /// Endpoints that requests may go to.
    pub in_use: Counter,
}

/// The counters that belong to one snapshot, in the order of its lists.
#[derive(Debug, Default)]
pub struct Declared {
    pub generation: u64,
    pub operations: Vec<Arc<OperationMetrics>>,
    pub pools: Vec<Arc<PoolMetrics>>,
}

/// The stages that can be told to report only.
const REPORTED: [Stage; 2] = [Stage::Contract, Stage::Response];

/// Everything that one shard counts.
pub struct ShardMetrics {
    state: AtomicU8,
    pub ring: OnceLock<String>,
    pub generation: Counter,
    pub declared: ArcSwap<Declared>,
    /// Requests for which no operation can be named.
    pub unmatched: OperationMetrics,
    denials: Vec<(Denial, Counter)>,
    /// What would have been denied, had it not been let pass to be reported only.
    reports: Vec<(Denial, Counter)>,
    failures: Vec<(&'static str, Counter)>,
    pub before_upstream: Histogram,
    pub after_upstream: Histogram,
    pub token_hits: Counter,
    pub token_misses: Counter,
    pub token_bytes: Counter,
    pub connections_accepted: Counter,
    pub connections_open: Counter,
    /// Connections for which there was no place.
    pub connections_refused: Counter,
    /// How often accepting stood still because there were no descriptors left.
    pub accept_pauses: Counter,
    /// Looks at the time; one every 20 ms while the shard is well.
    pub ticks: Counter,
    /// Looks that came much too late.
    pub stalls: Counter,
    pub in_flight: Counter,
    pub buffered: Counter,
    pub failed_handshakes: Counter,
    pub panics: Counter,
    pub log_dropped: Counter,
    /// Requests in which the WAF found anything, and those that add up to an attack.
    pub waf_flagged: Counter,
    pub waf_attacks: Counter,
    /// Exchanges of which there was more than rules may look at, by what there was too much of.
    pub waf_exceeded: [Counter; Bound::ALL.len()],
    /// How often an inspection gave way to others.
    pub waf_pauses: Counter,
}

impl ShardMetrics {
    fn new(failures: &[&'static str]) -> ShardMetrics {
        let counted = |denials: Vec<Denial>| {
            let denials = denials.into_iter();
            denials.map(|denial| (denial, Counter::default())).collect()
        };
        let reports = Denial::all().into_iter();
        let reports = reports.filter(|denial| REPORTED.contains(&denial.stage()));
        ShardMetrics {
            state: AtomicU8::new(State::Starting as u8),
            ring: OnceLock::new(),
            generation: Counter::default(),
            declared: ArcSwap::default(),
            unmatched: OperationMetrics::default(),
            denials: counted(Denial::all()),
            reports: counted(reports.collect()),
            failures: failures
                .iter()
                .map(|name| (*name, Counter::default()))
                .collect(),
            before_upstream: Histogram::default(),
            after_upstream: Histogram::default(),
            token_hits: Counter::default(),
            token_misses: Counter::default(),
            token_bytes: Counter::default(),
            connections_accepted: Counter::default(),
            connections_open: Counter::default(),
            connections_refused: Counter::default(),
            accept_pauses: Counter::default(),
            ticks: Counter::default(),
            stalls: Counter::default(),
            in_flight: Counter::default(),
            buffered: Counter::default(),
            failed_handshakes: Counter::default(),
            panics: Counter::default(),
            log_dropped: Counter::default(),
            waf_flagged: Counter::default(),
            waf_attacks: Counter::default(),
            waf_exceeded: Default::default(),
            waf_pauses: Counter::default(),
        }
    }

    pub fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    pub fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Starting,
            1 => State::Accepting,
            2 => State::Draining,
            _ => State::Stopped,
        }
    }

    pub fn deny(&self, denial: Denial) {
        if let Some((_, counter)) = self.denials.iter().find(|(each, _)| *each == denial) {
            counter.add(1);
        }
    }

    pub fn report(&self, denial: Denial) {
        if let Some((_, counter)) = self.reports.iter().find(|(each, _)| *each == denial) {
            counter.add(1);
        }
    }

    pub fn exceed(&self, exceeded: Exceeded) {
        for bound in exceeded.iter() {
            self.waf_exceeded[bound as usize].add(1);
        }
    }

    pub fn fail(&self, reason: &'static str) {
        if let Some((_, counter)) = self.failures.iter().find(|(each, _)| *each == reason) {
            counter.add(1);
        }
    }
}

/// One set of counters for each shard.
type PerShard<T> = Vec<Arc<T>>;

#[derive(Default)]
struct Known {
    operations: BTreeMap<(String, String), PerShard<OperationMetrics>>,
    pools: BTreeMap<String, PerShard<PoolMetrics>>,
    /// Rule sets of the WAF, and the rules that were left out of them.
    left_out: Vec<(String, u32)>,
}

fn left_out(snapshot: &Snapshot) -> Vec<(String, u32)> {
    let sets = snapshot.waf.iter();
    let all = sets.flat_map(|set| {
        let rules = set.rules.left_out().iter();
        rules.map(move |error| (set.name.to_string(), error.rule.unwrap_or_default()))
    });
    all.collect()
}

/// All counters of the process.
pub struct Registry {
    shards: Vec<Arc<ShardMetrics>>,
    known: Mutex<Known>,
    pub reloads_done: Counter,
    pub reloads_refused: Counter,
}

impl Registry {
    /// `failures` are the names of what can go wrong with an upstream.
    pub fn new(shards: usize, failures: &[&'static str]) -> Registry {
        let shards = (0..shards).map(|_| Arc::new(ShardMetrics::new(failures)));
        Registry {
            shards: shards.collect(),
            known: Mutex::default(),
            reloads_done: Counter::default(),
            reloads_refused: Counter::default(),
        }
    }

    pub fn shards(&self) -> &[Arc<ShardMetrics>] {
        &self.shards
    }

    /// Makes counters for all that a snapshot declares, before it is published. What was declared
    /// before under the same name goes on counting.
    pub fn declare(&self, snapshot: &Snapshot) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.shards.len();
        let operations: Vec<PerShard<OperationMetrics>> = snapshot
            .catalogue
            .operations()
            .iter()
            .map(|operation| {
                let name = (operation.api.to_string(), operation.id.to_string());
                known
                    .operations
                    .entry(name)
                    .or_insert_with(|| per_shard(count))
                    .clone()
            })
            .collect();
        let pools: Vec<PerShard<PoolMetrics>> = snapshot
            .upstreams
            .iter()
            .map(|upstream| {
                let name = upstream.settings.name.to_string();
                known
                    .pools
                    .entry(name)
                    .or_insert_with(|| per_shard(count))
                    .clone()
            })
            .collect();
        known.left_out = left_out(snapshot);
        for (index, shard) in self.shards.iter().enumerate() {
            shard.declared.store(Arc::new(Declared {
                generation: snapshot.generation,
                operations: operations.iter().map(|each| each[index].clone()).collect(),
                pools: pools.iter().map(|each| each[index].clone()).collect(),
            }));
        }
    }

    /// The text of all metrics.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        self.render_requests(&mut page);
        self.render_shards(&mut page);
        self.render_pools(&mut page);
        self.render_left_out(&mut page);
        self.render_exceeded(&mut page);
        page.family("portcullis_reloads_total", "counter", "Reloads by outcome.");
        page.sample(
            "portcullis_reloads_total",
            &[("outcome", "done")],
            self.reloads_done.value(),
        );
        page.sample(
            "portcullis_reloads_total",
            &[("outcome", "refused")],
            self.reloads_refused.value(),
        );
        page.text
    }

    fn render_exceeded(&self, page: &mut Page) {
        let name = "portcullis_waf_over_budget_total";
        let help = "Exchanges with more than the WAF may look at, by what there was too much of.";
        page.family(name, "counter", help);
        for bound in Bound::ALL {
            let shards = self.shards.iter();
            let total = shards.map(|shard| shard.waf_exceeded[bound as usize].value());
            page.sample(name, &[("budget", bound.name())], total.sum());
        }
    }

    fn render_left_out(&self, page: &mut Page) {
        let name = "portcullis_waf_rule_left_out";
        page.family(name, "gauge", "Rules of the WAF that cannot run here.");
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (set, rule) in &known.left_out {
            page.sample(name, &[("set", set), ("rule", &rule.to_string())], 1);
        }
    }

    fn render_requests(&self, page: &mut Page) {
        let name = "portcullis_requests_total";
        page.family(name, "counter", "Requests by operation and decision.");
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let unmatched: Vec<&OperationMetrics> =
            self.shards.iter().map(|shard| &shard.unmatched).collect();
        page.requests(name, ("", ""), &unmatched);
        for ((api, operation), shards) in &known.operations {
            let shards: Vec<&OperationMetrics> = shards.iter().map(|each| &**each).collect();
            page.requests(name, (api, operation), &shards);
        }
        let name = "portcullis_denials_total";
        page.family(name, "counter", "Denials by stage and reason.");
        page.denials(name, &self.shards, |shard| &shard.denials);
        let name = "portcullis_reported_total";
        let help = "What was let pass to be reported only, by stage and reason.";
        page.family(name, "counter", help);
        page.denials(name, &self.shards, |shard| &shard.reports);
        let name = "portcullis_upstream_failures_total";
        page.family(
            name,
            "counter",
            "Requests without a valid answer of the upstream, by reason.",
        );
        let failures = self.shards.first().map_or(&[][..], |shard| &shard.failures);
        for (index, (reason, _)) in failures.iter().enumerate() {
            let total = self
                .shards
                .iter()
                .map(|shard| shard.failures[index].1.value())
                .sum();
            page.sample(name, &[("reason", reason)], total);
        }
        page.histogram(
            "portcullis_before_upstream_seconds",
            "Time added by the gateway before the upstream was asked.",
            self.shards.iter().map(|shard| &shard.before_upstream),
        );
        page.histogram(
            "portcullis_after_upstream_seconds",
            "Time added by the gateway after the upstream had answered.",
            self.shards.iter().map(|shard| &shard.after_upstream),
        );
    }

    fn render_shards(&self, page: &mut Page) {
        let name = "portcullis_ring_info";
        page.family(name, "gauge", "The kind of ring that each shard runs on.");
        for (index, shard) in self.shards.iter().enumerate() {
            let mode = shard.ring.get().map_or("", String::as_str);
            page.sample(name, &[("shard", &index.to_string()), ("mode", mode)], 1);
        }
        type Read = fn(&ShardMetrics) -> u64;
        let families: [(&str, &str, &str, Read); 19] = [
            (
                "portcullis_snapshot_generation",
                "gauge",
                "Generation of the policy in force.",
                |shard| shard.generation.value(),
            ),
            (
                "portcullis_token_cache_hits_total",
                "counter",
                "Tokens verified by memory.",
                |shard| shard.token_hits.value(),
            ),
            (
                "portcullis_token_cache_misses_total",
                "counter",
                "Tokens verified by signature.",
                |shard| shard.token_misses.value(),
            ),
            (
                "portcullis_token_cache_bytes",
                "gauge",
                "Memory of the token cache.",
                |shard| shard.token_bytes.value(),
            ),
            (
                "portcullis_connections_accepted_total",
                "counter",
                "Client connections.",
                |shard| shard.connections_accepted.value(),
            ),
            (
                "portcullis_connections_open",
                "gauge",
                "Client connections open now.",
                |shard| shard.connections_open.value(),
            ),
            (
                "portcullis_connections_refused_total",
                "counter",
                "Client connections for which there was no place.",
                |shard| shard.connections_refused.value(),
            ),
            (
                "portcullis_accept_pauses_total",
                "counter",
                "Accepting stood still: no descriptors left.",
                |shard| shard.accept_pauses.value(),
            ),
            (
                "portcullis_ticks_total",
                "counter",
                "Looks at the time, every 20 ms.",
                |shard| shard.ticks.value(),
            ),
            (
                "portcullis_stalls_total",
                "counter",
                "Looks at the time that came 100 ms late: something kept the shard.",
                |shard| shard.stalls.value(),
            ),
            (
                "portcullis_requests_in_flight",
                "gauge",
                "Requests under way now.",
                |shard| shard.in_flight.value(),
            ),
            (
                "portcullis_buffered_bytes",
                "gauge",
                "Bytes of bodies held now for a stage that has to see them whole.",
                |shard| shard.buffered.value(),
            ),
            (
                "portcullis_tls_handshakes_failed_total",
                "counter",
                "Failed TLS handshakes.",
                |shard| shard.failed_handshakes.value(),
            ),
            (
                "portcullis_panics_total",
                "counter",
                "Connections that ended in a panic.",
                |shard| shard.panics.value(),
            ),
            (
                "portcullis_log_lines_dropped_total",
                "counter",
                "Log lines that found no room.",
                |shard| shard.log_dropped.value(),
            ),
            (
                "portcullis_waf_flagged_total",
                "counter",
                "Requests in which a rule of the WAF found something.",
                |shard| shard.waf_flagged.value(),
            ),
            (
                "portcullis_waf_attacks_total",
                "counter",
                "Requests that the WAF refused, or would have in mode block.",
                |shard| shard.waf_attacks.value(),
            ),
            (
                "portcullis_waf_pauses_total",
                "counter",
                "How often the inspection of a large request gave way to others.",
                |shard| shard.waf_pauses.value(),
            ),
            (
                "portcullis_shard_state",
                "gauge",
                "0 starting, 1 accepting, 2 draining, 3 stopped.",
                |shard| shard.state() as u64,
            ),
        ];
        for (name, kind, help, read) in families {
            page.family(name, kind, help);
            for (index, shard) in self.shards.iter().enumerate() {
                page.sample(name, &[("shard", &index.to_string())], read(shard));
            }
        }
    }

    fn render_pools(&self, page: &mut Page) {
        type Read = fn(&PoolMetrics) -> u64;
        let families: [(&str, &str, &str, Read); 6] = [
            (
                "portcullis_upstream_connections_opened_total",
                "counter",
                "Connections opened.",
                |pool| pool.opened.value(),
            ),
            (
                "portcullis_upstream_connections_reused_total",
                "counter",
                "Requests on a kept connection.",
                |pool| pool.reused.value(),
            ),
            (
                "portcullis_upstream_connections_failed_total",
                "counter",
                "Connections that failed.",
                |pool| pool.failed.value(),
            ),
            (
                "portcullis_upstream_connections_idle",
                "gauge",
                "Connections kept now.",
                |pool| pool.idle.value(),
            ),
            (
                "portcullis_upstream_retries_total",
                "counter",
                "Requests that were tried a second time.",
                |pool| pool.retried.value(),
            ),
            (
                "portcullis_upstream_ejections_total",
                "counter",
                "How often a shard left an endpoint out for its failures.",
                |pool| pool.ejected.value(),
            ),
        ];
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, kind, help, read) in families {
            page.family(name, kind, help);
            for (upstream, shards) in &known.pools {
                let total = shards.iter().map(|pool| read(pool)).sum();
                page.sample(name, &[("upstream", upstream)], total);
            }
        }
        let name = "portcullis_upstream_endpoints_in_use";
        page.family(
            name,
            "gauge",
            "Endpoints that requests of a shard may go to.",
        );
        for (upstream, shards) in &known.pools {
            for (index, pool) in shards.iter().enumerate() {
                let labels = [("upstream", &**upstream), ("shard", &*index.to_string())];
                page.sample(name, &labels, pool.in_use.value());
            }
        }
    }
}

fn per_shard<T: Default>(count: usize) -> PerShard<T> {
    (0..count).map(|_| Arc::default()).collect()
}

/// The text as it grows. Writing to a string cannot fail.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.text.push_str(name);
        self.labels(labels);
        let _ = writeln!(self.text, " {value}");
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (index, (name, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(self.text, "{name}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
    }

    /// One sample for each denial that has happened.
    fn denials(
        &mut self,
        name: &str,
        shards: &[Arc<ShardMetrics>],
        counters: impl Fn(&ShardMetrics) -> &[(Denial, Counter)],
    ) {
        let Some(first) = shards.first() else {
            return;
        };
        for (index, (denial, _)) in counters(first).iter().enumerate() {
            let totals = shards.iter().map(|shard| counters(shard)[index].1.value());
            let total: u64 = totals.sum();
            if total > 0 {
                let labels = [
                    ("stage", denial.stage().name()),
                    ("reason", denial.reason()),
                ];
                self.sample(name, &labels, total);
            }
        }
    }

    fn requests(
        &mut self,
        name: &str,
        (api, operation): (&str, &str),
        shards: &[&OperationMetrics],
    ) {
        type Read = fn(&OperationMetrics) -> u64;
        let decisions: [(&str, Read); 3] = [
            ("forwarded", |each| each.forwarded.value()),
            ("denied", |each| each.denied.value()),
            ("failed", |each| each.failed.value()),
        ];
        for (decision, read) in decisions {
            let total = shards.iter().map(|each| read(each)).sum();
            let labels = [
                ("api", api),
                ("operation", operation),
                ("decision", decision),
            ];
            self.sample(name, &labels, total);
        }
    }

    fn histogram<'h>(
        &mut self,
        name: &str,
        help: &str,
        shards: impl Iterator<Item = &'h Histogram>,
    ) {
        self.family(name, "histogram", help);
        let mut counts = [0; BOUNDS_NS.len() + 1];
        let mut sum_ns = 0;
        for shard in shards {
            for (total, count) in counts.iter_mut().zip(shard.counts()) {
                *total += count;
            }
            sum_ns += shard.sum_ns();
        }
        let mut cumulated = 0;
        for (bucket, count) in counts.iter().enumerate() {
            cumulated += count;
            let bound = BOUNDS_NS
                .get(bucket)
                .map(|&ns| (ns as f64 / 1e9).to_string());
            let bound = bound.unwrap_or_else(|| "+Inf".to_owned());
            self.sample(&format!("{name}_bucket"), &[("le", &bound)], cumulated);
        }
        let _ = writeln!(self.text, "{name}_sum {}", sum_ns as f64 / 1e9);
        let _ = writeln!(self.text, "{name}_count {cumulated}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    #[test]
    fn every_sample_belongs_to_a_family_and_buckets_cumulate() {
        let registry = Registry::new(2, &["upstream-unreachable"]);
        registry.shards()[0]
            .before_upstream
            .record(Duration::from_micros(3));
        registry.shards()[1]
            .before_upstream
            .record(Duration::from_secs(9));
        registry.shards()[1].deny(Denial::MissingToken);
        registry.shards()[0].fail("upstream-unreachable");
        registry.shards()[0].unmatched.count(Decision::Denied);
        let text = registry.render();
        let families: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            let known =
                families.contains(name) || family.is_some_and(|name| families.contains(name));
            assert!(known, "{line}");
            let value = line.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        for expected in [
            "portcullis_before_upstream_seconds_bucket{le=\"0.000002\"} 0",
            "portcullis_before_upstream_seconds_bucket{le=\"0.000005\"} 1",
            "portcullis_before_upstream_seconds_bucket{le=\"+Inf\"} 2",
            "portcullis_before_upstream_seconds_count 2",
            "portcullis_denials_total{stage=\"authentication\",reason=\"missing-token\"} 1",
            "portcullis_upstream_failures_total{reason=\"upstream-unreachable\"} 1",
            "portcullis_requests_total{api=\"\",operation=\"\",decision=\"denied\"} 1",
        ] {
            assert!(
                text.lines().any(|line| line == expected),
                "{expected}\n{text}"
            );
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.sample("x", &[("a", "q\"b\\c\nd")], 1);
        assert_eq!(page.text, "x{a=\"q\\\"b\\\\c\\nd\"} 1\n");
    }
}
