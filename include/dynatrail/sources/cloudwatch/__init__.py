"""CloudWatch: what to ask (catalogue, plan), asking (metrics, alarms, logs, insights), writing it by the hour."""
