"""The bus between sensors and analysers: journal segments of one machine as messages of a Kafka topic, and back.

``forwarder`` sends what is in a sensor's journal, ``source`` is what an analyser reads, ``message`` is the form it
travels in (docs/bus.md). confluent-kafka is imported in ``client`` alone, when a bus is configured.
"""
