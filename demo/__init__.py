"""Two real Airflow instances of different versions hand data over to each other through one registry.

Run as ``python -m demo``; needs one virtual environment for each Airflow.

- ``options``, ``console``: what the user says and sees;
- ``world``, ``homes``, ``registry``, ``sides``: what is started: a registry and two Airflow instances;
- ``story``, ``stage``, ``deliveries``: the acts, and watching them live;
- ``facts``, ``collecting``: what happened, as plain values;
- ``verdict``, ``timeline``: whether the promise was kept, and who did what when.
"""
