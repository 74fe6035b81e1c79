//! Diagnostics about lists, with positions.

use seawall_policy::check::{host_bits_help, host_bits_words, wide_words};
use seawall_policy::code::Code;
use seawall_policy::diagnostic::{Diagnostic, FileId};
use seawall_policy::program::List;
use seawall_policy::span::Span;

use super::elements::{Cut, Elements, Report};
use super::protected::Locked;

/// Returns the diagnostics about the lines of a file.
pub(super) fn of_lines(file: FileId, read: &Elements) -> Vec<Diagnostic> {
    let mut all: Vec<Diagnostic> = Vec::new();
    for (span, report) in &read.reports {
        let said = of_line(file, *span, report);
        // The first diagnostic of each kind contains the number of all.
        let is_first = all.iter().all(|other| other.code != said.code);
        let count = read.count(report);
        let many = (is_first && count > super::elements::LINES_SHOWN_MAX)
            .then(|| format!("{count} lines of this list have the same problem"));
        let help = [many, said.help.clone()].into_iter().flatten().collect::<Vec<_>>().join("; ");
        all.push(Diagnostic { help: (!help.is_empty()).then_some(help), ..said });
    }
    all.extend(read.cut.map(|cut| of_cut(file, cut)));
    all
}

fn of_line(file: FileId, span: Span, report: &Report) -> Diagnostic {
    match report {
        Report::Fault(fault) => {
            let message = format!("the line {}, and is skipped", fault.what());
            let mut said = Diagnostic::error(Code::ListLine, file, span, message).warning();
            said.help = fault.help().map(str::to_owned);
            said
        }
        Report::Wide(entry) => {
            let said = Diagnostic::error(Code::WideEntry, file, span, wide_words(entry));
            said.warning().help("if this is intended, write `allow wide` after the list")
        }
        Report::HostBits(net, address) => {
            let message = host_bits_words(net, *address);
            let said = Diagnostic::error(Code::HostBits, file, span, message);
            said.warning().help(host_bits_help(net, *address))
        }
    }
}

fn of_cut(file: FileId, cut: Cut) -> Diagnostic {
    let (span, what) = match cut {
        Cut::Taken(span) => (
            span,
            "the line is used, because the missing part could not make it \
            narrower",
        ),
        Cut::LeftOut(span) => (span, "the line is skipped, because a part of it may be missing"),
        Cut::Empty(span) => (span, "elements that may be missing after it are not in force"),
    };
    let message = format!("the file ends in this line without a line end; {what}");
    Diagnostic::error(Code::CutOffList, file, span, message).warning().help(
        "the download may be incomplete: download to another file and rename it at the end; for an \
         edited file, add a line end after the last line",
    )
}

/// Returns the warning about a file that lost more than half of its elements.
pub(super) fn shrank(list: &List, path: &str, (before, now): (usize, usize)) -> Diagnostic {
    let message = format!("`{path}` has {now} elements, before it had {before}");
    Diagnostic::error(Code::ShrunkList, list.file, list.span, message).warning().help(
        "the list is in force; if this is not intended, restore the file, or use `seawall \
         rollback`",
    )
}

/// Returns the warning about a list of clients to reject that contains protected addresses.
pub(super) fn locks_out(list: &List, locked: &Locked<'_>) -> Diagnostic {
    let message = format!(
        "`@{}` contains addresses of {}, and `{}` rejects clients in this list",
        list.name,
        locked.words(),
        locked.refused.rule
    );
    let help = format!(
        "remove the addresses from the list, or exempt them: `unless client.ip in {}`",
        locked.set()
    );
    Diagnostic::error(Code::GuardedAddress, list.file, list.span, message)
        .warning()
        .related(locked.refused.file, locked.refused.span, "the clients are rejected here")
        .help(help)
}
