package server

// EveryMinute does what the server does once a minute, now.
var EveryMinute = (*Server).everyMinute
