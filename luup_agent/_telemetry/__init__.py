"""OpenTelemetry's spans and metrics of runs. Imported by `luup_agent.telemetry` only, once it is switched on."""
