"""Why is a deeper network worse? Plain and residual twins over depth, recorded or trained here."""
