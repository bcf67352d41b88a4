//! Who may talk to the bot. The user decides, not the chat.

use std::collections::BTreeSet;

use crate::config::Config;

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nothing, not even get an answer.
    Stranger,
    /// Read.
    Viewer,
    /// Change things.
    Operator,
}

/// The people that the configuration names.
#[derive(Debug)]
pub(super) struct People {
    /// The owner's chat: where notifications go.
    pub(super) owner_chat: i64,
    operators: BTreeSet<i64>,
    viewers: BTreeSet<i64>,
}

impl People {
    pub(super) fn new(config: &Config) -> People {
        let owner_chat = config.telegram_chat_id;
        let mut operators: BTreeSet<i64> = config.telegram.operators.iter().copied().collect();
        // A private chat has the number of its person; a group is no one.
        if owner_chat > 0 {
            operators.insert(owner_chat);
        }
        let viewers = config.telegram.viewers.iter().copied().collect();
        People { owner_chat, operators, viewers }
    }

    pub(super) fn standing(&self, user: i64) -> Standing {
        if self.operators.contains(&user) {
            Standing::Operator
        } else if self.viewers.contains(&user) {
            Standing::Viewer
        } else {
            Standing::Stranger
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_decides() {
        let mut config = Config { telegram_chat_id: 7, ..Config::default() };
        config.telegram.operators = vec![8];
        config.telegram.viewers = vec![8, 9];
        let people = People::new(&config);
        assert_eq!(people.standing(7), Standing::Operator);
        assert_eq!(people.standing(8), Standing::Operator);
        assert_eq!(people.standing(9), Standing::Viewer);
        assert_eq!(people.standing(10), Standing::Stranger);
        let group = Config { telegram_chat_id: -100, ..Config::default() };
        assert_eq!(People::new(&group).standing(-100), Standing::Stranger);
    }
}
