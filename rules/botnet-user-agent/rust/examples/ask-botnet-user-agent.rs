//! Prints the result of the rule for each User-Agent on the standard input, without other fields:
//! `… | cargo run --release -p botnet-user-agent --example ask-botnet-user-agent`.

use seawall_rule::Headers;
use std::io::BufRead;

fn main() -> std::io::Result<()> {
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        let score = botnet_user_agent::botnet_user_agent(&line, Headers::default());
        println!("{score}\t{}", line.escape_ascii());
    }
    Ok(())
}
