//! A sequence as proptest's state machine drives it: the model and the real thing, step by step.
//! Never knows how the real thing is reached.

use std::fmt::Debug;
use std::marker::PhantomData;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use super::{Answer, Model, Op};
use crate::hunt;

/// How the real thing is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Through its library, with a clock, boots and users of our own.
    Library,
    /// Through its program, which has the machine's.
    Command,
}

impl Model {
    /// In which nothing has happened.
    #[must_use]
    pub fn of(mode: Mode) -> Model {
        Model {
            holders: mode == Mode::Command,
            ..Model::default()
        }
    }
}

impl Mode {
    /// The users that there are, by their index.
    #[must_use]
    pub fn users(self) -> std::ops::Range<u8> {
        match self {
            Mode::Library => 0..2,
            Mode::Command => 0..1,
        }
    }
}

/// The real thing, in a world of its own.
pub trait World: Debug {
    /// How it is driven.
    const MODE: Mode;

    /// A new one, in which nothing has happened.
    fn new() -> Self;

    /// Does an operation, and answers as the model does.
    fn act(&mut self, op: &Op, after: &Model) -> Answer;

    /// Panics where the registry, the sockets and the files are not what the model says.
    fn check(&self, model: &Model);
}

/// The model's side.
#[derive(Debug)]
pub struct Machine<W>(PhantomData<W>);

impl<W: World + 'static> ReferenceStateMachine for Machine<W> {
    type State = Model;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::of(W::MODE)).boxed()
    }

    fn transitions(model: &Model) -> BoxedStrategy<Op> {
        model.operations(W::MODE)
    }

    fn preconditions(model: &Model, op: &Op) -> bool {
        model.allows(op, W::MODE)
    }

    fn apply(model: Model, op: &Op) -> Model {
        model.after(op)
    }
}

/// The real side.
#[derive(Debug)]
pub struct Against<W>(PhantomData<W>);

impl<W: World + 'static> StateMachineTest for Against<W> {
    type SystemUnderTest = W;
    type Reference = Machine<W>;

    fn init_test(_: &Model) -> W {
        W::new()
    }

    fn apply(mut world: W, after: &Model, op: Op) -> W {
        hunt::step();
        let answer = world.act(&op, after);
        assert!(
            agree(&answer, &after.answer),
            "{op:?} answers {answer:?}, not {:?}",
            after.answer
        );
        world
    }

    fn check_invariants(world: &W, model: &Model) {
        world.check(model);
    }
}

/// Whether an answer is what the model expects. What has ended may have been dropped before.
pub(super) fn agree(real: &Answer, model: &Answer) -> bool {
    match (real, model) {
        (
            Answer::Released { mine, theirs, .. },
            Answer::Released {
                mine: least,
                theirs: must,
                ended,
            },
        ) => mine == least && theirs == must || *ended && mine >= least && (*theirs || !must),
        (real, model) => real == model,
    }
}
