"""Forecast how people vote."""
