//! Checks that all engines give the right verdict on the same requests, before they are timed.
//!
//! A translation that checks less is faster, so the figures would have no meaning without this.

use crate::peer::{Failure, Peer, Verdict};
use crate::requests::{Chance, Request, mixture};
use crate::rules::{KINDS, Rules};

/// Requests that every engine evaluates, for each rule set.
pub(crate) const REQUESTS: usize = 2_400;

/// Compares all verdicts, and returns a summary.
///
/// # Errors
/// An engine has another verdict, or a kind of rule never matched.
pub(crate) fn check(rules: &Rules, peers: &mut [Box<dyn Peer>]) -> Result<String, Failure> {
    let requests = mixture(rules, REQUESTS, &mut Chance(0x5EA_3A11));
    let mut hits = [0_usize; KINDS.len()];
    for request in &requests {
        let right = rules.verdict(request);
        if let Verdict::Block(i) = right {
            hits[rules.tests[i].kind()] += 1;
        }
        for peer in peers.iter_mut() {
            let said = peer.judge(request);
            if !said.agrees(right) {
                return Err(disagreement(rules, request, peers).into());
            }
        }
    }
    for (kind, hits) in KINDS.iter().zip(hits) {
        if hits == 0 && rules.tests.iter().any(|test| KINDS[test.kind()] == *kind) {
            return Err(format!("{}: no request hits a rule about {kind}", rules.name).into());
        }
    }
    let blocked: usize = hits.iter().sum();
    let name = &rules.name;
    Ok(format!("{name}: {REQUESTS} requests, {blocked} of them blocked, one verdict by all"))
}

fn disagreement(rules: &Rules, request: &Request, peers: &mut [Box<dyn Peer>]) -> String {
    let mut text = format!("{}: the engines disagree about {request:?}\n", rules.name);
    text.push_str(&format!("  right: {:?}\n", rules.verdict(request)));
    for peer in peers {
        text.push_str(&format!("  {}: {:?}\n", peer.name(), peer.judge(request)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer;
    use crate::rules::Regexes;

    /// Says what is right, but for requests with this path.
    struct Liar(Rules, &'static str);

    impl Peer for Liar {
        fn name(&self) -> &'static str {
            "liar"
        }

        fn judge(&mut self, request: &Request) -> Verdict {
            if request.path == self.1 { Verdict::Pass } else { self.0.verdict(request) }
        }
    }

    #[test]
    fn all_engines_agree_about_every_sort_of_rule() {
        let rules = Rules::of(40, Regexes::Some);
        let mut peers = peer::all(&rules).unwrap();
        assert_eq!(peers.len(), 5);
        check(&rules, &mut peers).unwrap();
    }

    #[test]
    fn one_that_misses_one_path_is_found_and_named() {
        let rules = Rules::of(40, Regexes::Some);
        let liar = |path| -> Vec<Box<dyn Peer>> { vec![Box::new(Liar(rules.clone(), path))] };
        check(&rules, &mut liar("/nobody-asks-for-this")).unwrap();
        let complaint = check(&rules, &mut liar("/old/5.php")).unwrap_err().to_string();
        assert!(complaint.contains("liar: Pass"), "{complaint}");
        assert!(complaint.contains("right: Block(5)"), "{complaint}");
    }
}
