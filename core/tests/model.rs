//! A small protocol, walked to exhaustion by stateright's model checker: the real `Authority`, two real
//! replicas, three mutations of one record, and one fault at any point. A state is the script that leads to
//! it, since machines whose turns must never be made twice cannot be copied; two scripts lead to one state
//! when the machines, their disks and what is under way are equal in every field.
#![allow(clippy::print_stdout, clippy::wildcard_enum_match_arm)]

#[path = "model/world.rs"]
mod world;

use std::{
    hash::{Hash, Hasher},
    time::Instant,
};

use stateright::{Checker, HasDiscoveries, Model, Property};
use world::{Protocol, Step, World};

/// A state of the world: the shortest script that was found to lead to it.
#[derive(Clone, Debug)]
struct Node {
    script: Vec<Step>,
    print: (u64, u64),
    steps: Vec<Step>,
    verdict: Result<(), String>,
    heads: u64,
    refused: bool,
}

impl Hash for Node {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.print.hash(hasher);
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.print == other.print
    }
}

impl Protocol {
    fn node(&self, script: Vec<Step>) -> Node {
        let mut world = World::new(*self);
        script.iter().for_each(|step| world.take(*step));
        let steps = world.steps();
        let verdict = match world.broken.take() {
            Some(why) => Err(why),
            None if steps.is_empty() => world.is_settled(),
            None => Ok(()),
        };
        let refused = world.sides.iter().any(|side| side.told.iter().any(|told| told.1.is_none()));
        let heads = world.authority.meta().map_or(0, |meta| meta.head.0);
        Node { print: world.print(), steps, verdict, heads, refused, script }
    }
}

impl Model for Protocol {
    type State = Node;
    type Action = Step;

    fn init_states(&self) -> Vec<Node> {
        vec![self.node(Vec::new())]
    }

    fn actions(&self, node: &Node, steps: &mut Vec<Step>) {
        steps.extend(node.steps.iter().filter(|_| node.verdict.is_ok()));
    }

    fn next_state(&self, node: &Node, step: Step) -> Option<Node> {
        let mut script = node.script.clone();
        script.push(step);
        Some(self.node(script))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("all is well", |_, node: &Node| node.verdict.is_ok()),
            Property::sometimes("all three take a seq", |_, node: &Node| {
                node.steps.is_empty() && node.heads == 3
            }),
            Property::sometimes("one is refused", |_, node: &Node| {
                node.steps.is_empty() && node.refused
            }),
            Property::sometimes("two are lost in a crash", |_, node: &Node| {
                node.steps.is_empty() && node.heads == 1
            }),
        ]
    }
}

fn walk(protocol: Protocol) -> impl Checker<Protocol> {
    let start = Instant::now();
    let checker =
        protocol.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    println!(
        "{} faults: {} states, {} of them different, {} steps at the most, {:.1} s",
        protocol.faults,
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        start.elapsed().as_secs_f64()
    );
    checker
}

/// [LI1] In every order of events, with one fault at any point, each replica confirms what the order has
/// (RE1), each outcome is told once (RE7, LE2), and in the end all are equal (LI2).
#[test]
fn li1_every_order_of_a_small_protocol() {
    let checker = walk(Protocol { faults: 1, forgets: false });
    if let Some(path) = checker.discovery("all is well") {
        let last = path.last_state();
        panic!("{:?}: {:?}", last.script, last.verdict);
    }
    checker.assert_properties();
}

/// [SI4] A ledger that is lost in a restart is caught by the walk.
#[test]
fn si4_the_walk_notices_a_lost_ledger() {
    let checker = walk(Protocol { faults: 1, forgets: true });
    let path = checker.assert_any_discovery("all is well");
    println!("{:?}", path.last_state().verdict);
}
