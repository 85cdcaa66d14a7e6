//! What a run's records mean, decided by arithmetic and by another program's figures: no server, no clock, no file but the
//! test data.

mod any_run;
mod borders;
mod build;
mod by_stamps;
mod cautions;
mod client;
mod compare;
mod events;
mod figures;
mod grade;
mod load;
mod log;
mod outcomes;
mod outputs;
mod peer;
mod schema;
mod seed;
mod words;
