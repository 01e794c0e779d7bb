//! What was skipped, put together by reason.

use std::collections::BTreeMap;

use super::document::Document;

/// Benchmarks that were skipped for the same reason on the same hosts.
#[derive(Debug)]
pub(super) struct Skips<'a> {
    pub(super) hosts: Vec<&'a str>,
    pub(super) reason: &'a str,
    pub(super) names: Vec<&'a str>,
}

/// Returns everything that was skipped, by hosts and reasons.
pub(super) fn by_reason(document: &Document) -> Vec<Skips<'_>> {
    let mut hosts_of: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for host in &document.hosts {
        for skip in &host.skipped {
            let hosts = hosts_of.entry((&skip.reason, &skip.name)).or_default();
            if !hosts.contains(&&*host.host) {
                hosts.push(&host.host);
            }
        }
    }
    let mut names_of: BTreeMap<(Vec<&str>, &str), Vec<&str>> = BTreeMap::new();
    for ((reason, name), hosts) in hosts_of {
        names_of.entry((hosts, reason)).or_default().push(name);
    }
    names_of.into_iter().map(|((hosts, reason), names)| Skips { hosts, reason, names }).collect()
}
