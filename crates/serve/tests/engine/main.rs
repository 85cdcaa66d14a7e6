//! The engine behind HTTP, from outside, with a scripted stepper in place of the model.

mod behaviour;
mod connections;
mod goldens;
mod logprobs;
mod program;
mod remote;
mod rig;
