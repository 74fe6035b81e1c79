//! Prints the result of the rule for each line of the standard input: `cut … access.log | cargo run
//! --release -p path-shape --example ask-path-shape`.

use std::io::BufRead;

fn main() -> std::io::Result<()> {
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line?;
        println!("{}\t{}", path_shape::path_shape(&line), line.escape_ascii());
    }
    Ok(())
}
