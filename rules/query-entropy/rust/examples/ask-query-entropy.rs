//! Prints the result of the rule for each line of the standard input: `cut … access.log | cargo run
//! --release -p query-entropy --example ask-query-entropy`.

use std::io::BufRead;

fn main() -> std::io::Result<()> {
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        println!("{}\t{}", query_entropy::query_entropy(&line), line.escape_ascii());
    }
    Ok(())
}
