//! Completion candidates for an unfinished command line, in the format of cobra's `__complete`, which kubectl and helm
//! read: one candidate per line, its description after a tab, and a directive such as `:4` in the last line.
//!
//! The directives are cobra's `ShellCompDirective` bits (`completions.go` of spf13/cobra).

use clap::{Arg, Command, ValueHint};

/// cobra's `ShellCompDirectiveDefault`: the shell also offers file names.
const FILES: &str = ":0\n";
/// cobra's `ShellCompDirectiveNoFileComp`: the shell offers no file names.
const NOTHING_ELSE: &str = ":4\n";

/// Completes the last of `words`, which may be empty.
pub fn complete(mut program: Command, words: &[String]) -> String {
    program.build();
    let mut line = Line { command: &program, values: 0, flag: None, has_flags: true };
    let (unfinished, words) =
        words.split_last().map_or(("", words), |(last, words)| (last.as_str(), words));
    words.iter().for_each(|word| line.push(word));
    line.candidates(unfinished)
}

/// The state of the command line after its finished words.
struct Line<'a> {
    command: &'a Command,
    /// The number of positional values so far.
    values: usize,
    /// The flag whose value is the next word.
    flag: Option<&'a Arg>,
    /// False after `--`.
    has_flags: bool,
}

impl<'a> Line<'a> {
    fn push(&mut self, word: &str) {
        if self.flag.take().is_some() {
            return;
        }
        match self.command.find_subcommand(word) {
            _ if self.has_flags && word == "--" => self.has_flags = false,
            _ if self.is_flag(word) => self.flag = self.expecting(word),
            Some(command) if self.has_flags => self.command = command,
            _ => self.values += 1,
        }
    }

    /// A lone `-` means standard input and is not a flag.
    fn is_flag(&self, word: &str) -> bool {
        self.has_flags && word.starts_with('-') && word != "-"
    }

    /// The flag in this word that takes the next word as its value. In a group of short flags, only the last can.
    fn expecting(&self, word: &str) -> Option<&'a Arg> {
        let takes_value = |arg: &&Arg| arg.get_action().takes_values();
        if let Some(name) = word.strip_prefix("--") {
            return self.named(name).filter(takes_value);
        }
        let mut letters = word.chars().skip(1);
        let flag = letters.find_map(|letter| {
            self.command
                .get_arguments()
                .find(|arg| arg.get_short() == Some(letter))
                .filter(takes_value)
        });
        flag.filter(|_| letters.next().is_none())
    }

    fn named(&self, name: &str) -> Option<&'a Arg> {
        self.command.get_arguments().find(|arg| arg.get_long() == Some(name))
    }

    fn candidates(&self, unfinished: &str) -> String {
        if let Some(flag) = self.flag {
            return values(flag, unfinished);
        }
        if self.is_flag(unfinished) || self.has_flags && unfinished == "-" {
            return match unfinished.trim_start_matches('-').split_once('=') {
                // the shell keeps the part before `=`
                Some((name, value)) => {
                    self.named(name).map_or(NOTHING_ELSE.into(), |flag| values(flag, value))
                }
                None => self.flags(unfinished),
            };
        }
        let verbs = self
            .command
            .get_subcommands()
            .filter(|_| self.has_flags && self.values == 0)
            .filter(|verb| !verb.is_hide_set());
        let verbs = verbs
            .filter(|verb| verb.get_name().starts_with(unfinished))
            .map(|verb| line(verb.get_name(), verb.get_about()));
        let takes_more =
            |arg: &&Arg| arg.get_num_args().is_some_and(|values| values.max_values() > 1);
        let next = self
            .command
            .get_positionals()
            .nth(self.values)
            .or_else(|| self.command.get_positionals().find(takes_more));
        verbs.collect::<String>()
            + &next.map_or(NOTHING_ELSE.into(), |positional| values(positional, unfinished))
    }

    fn flags(&self, unfinished: &str) -> String {
        let flags = self.command.get_arguments().filter(|arg| !arg.is_hide_set());
        let named = flags.filter_map(|arg| Some((format!("--{}", arg.get_long()?), arg)));
        let lines = named
            .filter(|(name, _)| name.starts_with(unfinished))
            .map(|(name, arg)| line(&name, arg.get_help()));
        lines.collect::<String>() + NOTHING_ELSE
    }
}

/// Completes the last of several values that a delimiter separates.
fn values(arg: &Arg, unfinished: &str) -> String {
    let start = arg
        .get_value_delimiter()
        .and_then(|delimiter| unfinished.rfind(delimiter))
        .map_or(0, |at| at + 1);
    let (finished, unfinished) = unfinished.split_at(start);
    let values = arg
        .get_possible_values()
        .into_iter()
        .filter(|value| !value.is_hide_set() && value.get_name().starts_with(unfinished));
    let lines =
        values.map(|value| line(&format!("{finished}{}", value.get_name()), value.get_help()));
    let others = match arg.get_value_hint() {
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath => FILES,
        _ => NOTHING_ELSE,
    };
    lines.collect::<String>() + others
}

fn line(candidate: &str, about: Option<&clap::builder::StyledStr>) -> String {
    let about = about.map(ToString::to_string).unwrap_or_default();
    match about.lines().next() {
        Some(about) => format!("{candidate}\t{about}\n"),
        None => format!("{candidate}\n"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::arguments::Cli;

    use super::*;

    /// The candidates without their descriptions, and the directive.
    fn after(line: &str) -> (Vec<String>, String) {
        let words: Vec<String> = line.split(' ').map(Into::into).collect();
        let text = complete(Cli::command(), &words);
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| line.split('\t').next().unwrap_or_default().to_string())
            .collect();
        let directive = lines.pop().unwrap();
        (lines, directive)
    }

    #[track_caller]
    fn offers(line: &str, candidates: &[&str], directive: &str) {
        assert_eq!(
            after(line),
            (candidates.iter().map(|word| (*word).into()).collect(), directive.into()),
            "after `{line}`"
        );
    }

    #[test]
    fn empty_line_offers_every_verb_and_no_flag() {
        let (verbs, directive) = after("");
        assert_eq!(complete(Cli::command(), &[]), complete(Cli::command(), &[String::new()]));
        let all: Vec<String> =
            Cli::command().get_subcommands().map(|verb| verb.get_name().to_string()).collect();
        assert_eq!((verbs, directive.as_str()), (all, ":4"));
    }

    #[test]
    fn unfinished_verb_is_completed_with_its_description() {
        offers("sta", &["status", "statements"], ":4");
        assert!(complete(Cli::command(), &["sta".into()]).starts_with("status\tShow"));
        offers("-n alice sta", &["status", "statements"], ":4");
        offers("dashboards ex", &["export", "explain"], ":4");
        offers("completion install --d", &["--dir"], ":4");
    }

    #[test]
    fn flags_are_offered_after_a_dash() {
        offers("install --pro", &["--profile"], ":4");
        offers("install --cont", &["--context"], ":4");
        let (flags, _) = after("status -");
        assert!(
            flags.contains(&"--watch".into()) && flags.contains(&"--namespace".into()),
            "{flags:?}"
        );
    }

    #[test]
    fn flag_offers_its_values() {
        let profiles = ["laptop", "classroom", "production"];
        offers("install --profile ", &profiles, ":4");
        offers("install --profile=", &profiles, ":4");
        offers("install --profile c", &["classroom"], ":4");
        offers("status -o w", &["wide"], ":4");
        offers("status -wo w", &["wide"], ":4");
        offers("install --only lrs,data", &["lrs,datalake", "lrs,dataviz"], ":4");
        offers("install --context ", &[], ":4");
        offers("install -f ", &[], ":0");
    }

    #[test]
    fn flag_value_named_like_a_verb_is_a_value() {
        offers("-n status cre", &["creds"], ":4");
        offers("--namespace=status cre", &["creds"], ":4");
    }

    #[test]
    fn verb_offers_its_positional_values_and_then_no_more() {
        offers("open ", &["lms", "lrs", "dataviz"], ":4");
        offers("open lrs ", &[], ":4");
        offers("configure lrs data", &["datalake", "dataviz"], ":4");
        offers("seed - ", &[], ":0");
        offers("nonsense ", &[], ":4");
    }

    #[test]
    fn double_dash_leaves_only_values() {
        offers("creds -- l", &["lrs", "lms"], ":4");
        offers("creds -- -", &[], ":4");
        offers("install -- ", &[], ":4");
        offers("-- ", &[], ":4");
    }
}
