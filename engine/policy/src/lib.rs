//! The policy language: text in, checked flat program out.
