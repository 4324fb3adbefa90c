//! The one function that says whether the house may send a request to a URL.
