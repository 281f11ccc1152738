//! Parses names of components on the command line.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::versions::{Release, Versions};

pub use super::versions::ComponentName;

/// Parses the name of a component, or of its program: `lrs` and `ralph` are the same.
#[derive(Clone)]
pub struct ComponentParser;

impl ComponentParser {
    /// The component with this name, or whose program has this name.
    pub fn find(text: &str) -> Option<ComponentName> {
        let named = Self::values().into_iter().find(|value| value.matches(text, false))?;
        ComponentName::find(named.get_name())
    }

    /// The possible value for a component in clap.
    pub fn value(component: ComponentName) -> Option<PossibleValue> {
        let mut releases = Versions::get().components.iter();
        releases.find(|release| release.name == component).map(possible_value)
    }

    fn values() -> Vec<PossibleValue> {
        Versions::get().components.iter().map(possible_value).collect()
    }
}

fn possible_value(release: &Release) -> PossibleValue {
    // leaked: called a few times, and clap needs a static string
    let alias: &'static str = Box::leak(release.program.to_lowercase().into_boxed_str());
    PossibleValue::new(release.name.as_str()).alias(alias)
}

impl TypedValueParser for ComponentParser {
    type Value = ComponentName;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<ComponentName, clap::Error> {
        let text = PossibleValuesParser::new(Self::values()).parse_ref(command, argument, value)?;
        Ok(Self::find(&text).expect("a possible value is the name of a component"))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Self::values().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn component_names_are_read_by_name_and_by_program() {
        let command = clap::Command::new("lastack");
        let parse = |text: &str| ComponentParser.parse_ref(&command, None, OsStr::new(text)).ok();
        assert_eq!(parse("lrs"), Some(ComponentName::new("lrs")));
        assert_eq!(parse("ralph"), Some(ComponentName::new("lrs")));
        assert_eq!(parse("portfolio"), None);
    }
}
