//! A sequence that fails, made as short as can be.

/// Leaves out what is not needed for `fails` to stay true: halves, quarters, ... single calls, until nothing more
/// can go (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002), then makes numbers small.
pub fn shrink(ops: &[String], fails: &mut dyn FnMut(&[String]) -> bool) -> Vec<String> {
    let mut ops = ops.to_vec();
    let mut chunk = ops.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let before = ops.len();
        while at < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(at..(at + chunk).min(ops.len()));
            if !fewer.is_empty() && fails(&fewer) {
                ops = fewer;
            } else {
                at += chunk;
            }
        }
        if chunk > 1 {
            chunk = chunk.div_ceil(2);
        } else if ops.len() == before {
            break;
        }
    }
    for at in 0..ops.len() {
        for word in 1..ops[at].split(' ').count() {
            for smaller in ["0", "1", "10"] {
                let mut words: Vec<&str> = ops[at].split(' ').collect();
                let is_number = words[word].parse::<i64>().is_ok_and(|number| number > 1);
                if !is_number || smaller.len() > words[word].len() || words[word] == smaller {
                    continue;
                }
                words[word] = smaller;
                let mut simpler = ops.clone();
                simpler[at] = words.join(" ");
                if fails(&simpler) {
                    ops = simpler;
                    break;
                }
            }
        }
    }
    ops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_stays_and_nothing_else() {
        let ops: Vec<String> = (0..50).map(|i| format!("call {i} 5000")).collect();
        let needed = |ops: &[String]| {
            let has = |start: &str| ops.iter().any(|op| op.starts_with(start));
            has("call 7 ") && has("call 40 ")
        };
        let mut tries = 0;
        let short = shrink(&ops, &mut |ops| {
            tries += 1;
            needed(ops)
        });
        assert_eq!(short, ["call 7 0", "call 40 0"]);
        assert!(tries < 200, "{tries}");
    }
}
