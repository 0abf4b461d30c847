//! Names, once each.

use std::collections::HashMap;

/// A name, or none, as a number: cheap to look up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Symbol(u32);

/// The names that appear in a batch.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// The number 0 is for no name.
    numbers: HashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Symbols {
    /// The symbol of a name.
    pub(super) fn of(&mut self, name: Option<&str>) -> Symbol {
        let Some(name) = name else { return Symbol(0) };
        if let Some(number) = self.numbers.get(name) {
            return Symbol(*number);
        }
        // PostgreSQL takes no NUL; two names that differ in nothing else become one.
        let stored: Box<str> = name.replace('\0', "\u{fffd}").into();
        if *stored != *name {
            let symbol = self.of(Some(&stored));
            self.numbers.insert(name.into(), symbol.0);
            return symbol;
        }
        self.names.push(stored);
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX); // a batch has far fewer outcomes
        self.numbers.insert(name.into(), number);
        Symbol(number)
    }

    /// The name of a symbol.
    pub(super) fn name(&self, symbol: Symbol) -> Option<&str> {
        let place = symbol.0.checked_sub(1)?;
        self.names.get(usize::try_from(place).ok()?).map(|name| &**name)
    }
}
