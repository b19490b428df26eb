"""Reinforcement learning on rewards: PPO's pieces, each a file, and what it shares with the trainers of TRL."""
